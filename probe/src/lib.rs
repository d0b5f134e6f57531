//! Health checks: one check of one target, bounded in time and memory.
//!
//! Every health check opens a connection of its own and closes it; no redirect is followed, no proxy is asked. A
//! client's request, with an [`Inquiry`], may keep its connection and choose its source. A probe's timeout covers all of it, whatever the backend does.
//!
//! - [`files`]: the files that checks need
//! - `connect`: the connection of a probe
//! - `icmp`: ICMP echo, by whoever may send it
//! - `tls`: the handshake, and which certificates are accepted
//! - `http`: the request and its answer
//! - `inquiry`: what else is read from an answer
//! - `checker`: a health check, ready for use

mod checker;
mod connect;
pub mod files;
mod http;
mod icmp;
mod inquiry;
mod tls;

pub use checker::Checker;
pub use http::Answer;
pub use icmp::{Echo, EchoFailure};
pub use inquiry::{Details, Inquiry, Kept};
pub use tls::{Client as TlsClient, trust_system};

#[cfg(test)]
mod tests;
