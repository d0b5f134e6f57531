//! What every daemon needs besides its own work.
//!
//! - [`address`]: listening addresses.
//! - [`notify`]: readiness, watchdog and status for systemd.
//! - [`log`]: the log's filter, and output to the journal or to stderr.
//! - [`blocking`]: blocking jobs with a thread of their own and a time limit.
//! - [`hangup`]: SIGHUP during the start.
//! - [`vital`]: tasks whose panic ends the process.
//! - [`mod@print`]: output of a daemon's own commands.
//! - [`socket`]: a listening unix socket that replaces a stale one and is removed at the end.
//! - [`retry`]: backoff with jitter.
//! - [`until`]: an optional deadline.
//!
//! Each daemon adds its own status line, log identifier and socket mode.

pub mod address;
pub mod blocking;
pub mod hangup;
mod journal;
pub mod log;
pub mod notify;
pub mod print;
pub mod retry;
pub mod socket;
pub mod vital;

use tokio::time::{Instant, sleep_until};

/// Waits until a deadline, of tokio's clock or the standard library's; without one, forever.
pub async fn until<I: Into<Instant>>(deadline: Option<I>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
