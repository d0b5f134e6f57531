//! The brain as a service of systemd: sockets that it is given, what it tells of itself, and where its log goes.
//! Without systemd, nothing of this has an effect.

mod journal;
mod notify;
mod sockets;

pub use journal::journal;
pub use notify::{NotAService, Notifier, keep_alive, tell_status};
pub use sockets::{Inherited, InheritedError, InheritedSocket, inherited};
