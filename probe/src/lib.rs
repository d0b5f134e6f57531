//! Health checks: one check of one target, bounded in time and memory.
//!
//! Every probe opens a connection of its own and closes it; it reuses nothing, follows no redirect and uses
//! no proxy. A probe's timeout covers all of it, whatever the backend does.
//!
//! - [`files`]: the files that checks need
//! - `connect`: the connection of a probe
//! - `icmp`: ICMP echo, sent by a privileged process
//! - `tls`: the handshake, and the certificates that are accepted
//! - `http`: the request and its response
//! - `checker`: a prepared health check

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
