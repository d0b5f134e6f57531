//! Health checks: one check of one target, bounded in time and memory.
//!
//! A health check opens a connection of its own and closes it, unless it has `keepalive`; no redirect is followed, no
//! proxy is asked. A client's request, with an [`Inquiry`], may keep its connection and choose its source. A probe's
//! timeout covers all of it, whatever the backend does.
//!
//! - [`files`]: the files that checks need
//! - `connect`: the connection of a probe
//! - `proxy`: the PROXY protocol's header
//! - `icmp`: ICMP echo, by whoever may send it
//! - `exchange`: bytes on a connection, and the expected ones
//! - `udp`: a datagram and its reply
//! - `dns`: a query and its answer
//! - `grpc`: a request of the gRPC health checking protocol
//! - `tls`: the handshake, and which certificates are accepted
//! - `http`: the request and its answer
//! - `agent_line`: the server's own word on a connection of its own
//! - `inquiry`: what else is read from an answer
//! - `checker`: a health check, ready for use
//! - `keepalive`: probes over one connection

mod agent_line;
mod checker;
mod connect;
mod dns;
mod exchange;
pub mod files;
mod grpc;
mod http;
mod icmp;
mod inquiry;
mod keepalive;
mod proxy;
mod tls;
mod udp;

pub use self::http::Answer;
pub use agent_line::{AgentReply, AgentWord};
pub use checker::Checker;
pub use dns::{Question, Reply};
pub use grpc::GrpcAnswer;
pub use icmp::{Echo, EchoFailure};
pub use inquiry::{Details, Inquiry, Kept};
pub use keepalive::KeptConnection;
pub use tls::{Client as TlsClient, trust_system};

#[cfg(test)]
mod tests;
