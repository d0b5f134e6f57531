//! Health checks: one check of one target, bounded in time and memory.
//!
//! Every probe opens a connection of its own and closes it; nothing is reused, no redirect is followed, no
//! proxy is asked. A probe's timeout covers all of it, whatever the backend does.
//!
//! - [`files`]: the files that checks are made from
//! - `connect`: the connection of a probe
//! - `icmp`: ICMP echo, by whoever may send it
//! - `tls`: the handshake, and which certificates are accepted
//! - `http`: the request and its answer
//! - `checker`: a health check, ready for use

mod checker;
mod connect;
pub mod files;
mod http;
mod icmp;
mod tls;

pub use checker::Checker;
pub use http::Answer;
pub use icmp::{Echo, EchoFailure};
pub use tls::trust_system;

#[cfg(test)]
mod tests;
