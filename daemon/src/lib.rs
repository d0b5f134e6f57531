//! What every daemon needs around its work.
//!
//! - [`address`]: where to listen for clients.
//! - [`notify`]: readiness, watchdog and status for systemd.
//! - [`log`]: the log's filter, and its way to the journal or to stderr.
//! - [`blocking`]: work that blocks, with a thread of its own and a time limit.
//! - [`hangup`]: SIGHUP during the start.
//! - [`vital`]: tasks whose death is that of the process.
//! - [`mod@print`]: what a daemon's own commands write.
//! - [`socket`]: a listening unix socket that replaces a stale one and is removed at the end.
//! - [`retry`]: backoff with jitter.
//! - [`until`]: an optional deadline.
//!
//! Each daemon adds what only it knows: its status line, its log's identifier, its socket's mode.

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

/// Waits until a deadline, of tokio's clock or the standard library's; without one, for ever.
pub async fn until<I: Into<Instant>>(deadline: Option<I>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
