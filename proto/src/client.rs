//! Connections of clients to maglev-brain: where it listens, and how each kind of address is reached; and what clients
//! show of what they are told.

mod address;
mod channel;
pub mod manual;
mod printable;
mod words;

pub use address::{AddressError, ServerAddress};
pub use channel::{SetupError, TlsFiles, Unresolved, connect, endpoint};
pub use printable::{printable, printable_json, printable_lines};
pub use words::innermost;
