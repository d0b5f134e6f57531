//! VPP's binary API over its unix socket.

#[macro_use]
mod macros;

pub mod frame;
pub mod messages;
pub mod retval;
pub mod types;
pub mod wire;
