//! `maglevt` against the simulator's data path: what it reports while servers are killed, drained and flushed, and while
//! the brain and VPP are killed.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod drills;
mod program;
mod screen;
mod services;
