//! The brain as a service of systemd: sockets that it is given, and what it tells of itself. Without systemd, nothing of
//! this has an effect.

mod notify;
mod sockets;

pub use notify::{NotAService, Notifier, keep_alive, tell_status};
pub use sockets::{Inherited, InheritedError, InheritedSocket, inherited};
