//! Probes: what one does, and when.
//!
//! Every probe opens a connection of its own and closes it; nothing is reused, no redirect is followed, no
//! proxy is asked. A probe's timeout covers all of it, whatever the backend does.

mod checker;
mod connect;
mod http;
mod icmp;
mod outcome;
pub mod prober;
pub mod schedule;
mod tls;

pub use checker::Checker;
pub use http::Answer;
pub use icmp::{ECHOES, EchoAsk, EchoFailure, EchoSender, echo_queue};
pub use outcome::{ProbeCode, ProbeOutcome, Verdict};
pub use prober::{Checked, Probe, Prober, Report};
pub use schedule::{Intervals, Pace};
pub(crate) use tls::trust_system;

/// Name and version that HTTP probes introduce themselves with.
pub const USER_AGENT: &str = concat!("maglev-brain/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
