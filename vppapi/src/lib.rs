//! VPP's binary API over its unix socket.

#[macro_use]
mod macros;

pub mod client;
pub mod frame;
pub mod messages;
pub mod retval;
pub mod stats;
pub mod table;
pub mod types;
pub mod wire;
