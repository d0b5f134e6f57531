//! Connections of clients to maglev-brain: where it listens, and how each kind of address is reached.

mod address;
mod channel;

pub use address::{AddressError, ServerAddress};
pub use channel::{SetupError, TlsFiles, Unresolved, connect, endpoint};
