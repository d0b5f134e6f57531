//! Client connections to maglev-brain: addresses, and connecting to each kind of address.

mod address;
mod channel;

pub use address::{AddressError, ServerAddress};
pub use channel::{SetupError, TlsFiles, Unresolved, connect, endpoint};
