//! The agent as a service of systemd: what it tells of itself, and where its log goes. Both sockets are opened before the
//! agent is confined. Without systemd, nothing of this has an effect.

mod journal;
mod notify;

pub use journal::journal;
pub use notify::{NotAService, Notifier, attend};
