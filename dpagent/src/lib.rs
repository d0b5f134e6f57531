//! The privileged half of the control plane: it brings VPP's lb plugin to the state that it is told.
//!
//! The way of a call: [`server`] checks it and queues it, [`vpp`] owns the connection and takes calls one after
//! the other, [`execute`] carries them out, [`sync`] finds the difference between what is wanted and its [`mirror`] of
//! VPP with [`reconcile`], and [`apply`] sends it. [`lb`] alone knows how a VPP wants to be spoken to. `step`, `mirror`,
//! `read`, `cli_text`, `conf`, `heap`, `set_aside`, `policy` but for its file, `reconcile` and `writer` are pure.
//!
//! Beside that way: [`policy`] says what may be asked for, [`counters`] reads what VPP counts, [`icmp`] sends echo
//! requests, and [`privileges`] gives up whatever is not needed, before anybody is listened to.
//!
//! Nothing here writes to VPP on its own: a start, an end or a lost peer changes nothing.

pub mod apply;
pub mod burst;
pub mod cli_text;
pub mod conf;
pub mod counters;
pub mod execute;
pub mod heap;
pub mod heard;
pub mod icmp;
pub mod lb;
pub mod liveness;
pub mod mirror;
mod pace;
pub mod policy;
pub mod privileges;
pub mod read;
pub mod reconcile;
pub mod server;
pub mod service;
pub mod set_aside;
pub mod step;
pub mod sync;
pub mod vpp;
pub mod writer;
