//! What checks of further protocols send and expect.

use super::pattern::Pattern;

/// Types of records and their codes (IANA's registry of DNS parameters).
pub(super) const RECORD_TYPES: [(&str, u16); 12] = [
    ("A", 1),
    ("AAAA", 28),
    ("CAA", 257),
    ("CNAME", 5),
    ("HTTPS", 65),
    ("MX", 15),
    ("NS", 2),
    ("PTR", 12),
    ("SOA", 6),
    ("SRV", 33),
    ("SVCB", 64),
    ("TXT", 16),
];
/// Response codes and their names (the same registry).
pub(super) const RCODES: [(&str, u8); 6] =
    [("NOERROR", 0), ("FORMERR", 1), ("SERVFAIL", 2), ("NXDOMAIN", 3), ("NOTIMP", 4), ("REFUSED", 5)];

/// The server's own word on a connection of its own, as HAProxy's agent-check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLine {
    /// Port of the server.
    pub port: u16,
    /// Sent first; may be empty.
    pub send: String,
}

/// Bytes that a probe sends, and what it expects in return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Sent at once.
    pub send: Option<Vec<u8>>,
    /// Expected in the reply.
    pub expect: Option<Expect>,
}

/// What a reply must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The parameter that says so: `expect`, `expect-hex` or `expect-regexp`.
    pub key: &'static str,
    /// Its value.
    pub text: String,
    /// Found in every reply that passes.
    pub pattern: Pattern,
}

/// Question of a DNS probe, and expected answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsCheck {
    /// Domain name that is asked for.
    pub name: String,
    /// Type of record that is asked for.
    pub record_type: u16,
    /// Response code that passes.
    pub rcode: u8,
    /// Pattern that the data of one record of the answer must match.
    pub answer_regexp: Option<Pattern>,
    /// How it is asked.
    pub transport: DnsTransport,
}

impl DnsCheck {
    /// Name of the record type.
    pub fn record_type_name(&self) -> &'static str {
        RECORD_TYPES.iter().find(|(_, code)| *code == self.record_type).map_or("", |(name, _)| name)
    }
}

/// Name of a DNS response code, if it is one of the common ones.
pub fn rcode_name(rcode: u8) -> Option<&'static str> {
    RCODES.iter().find(|(_, code)| *code == rcode).map(|(name, _)| *name)
}

/// Transport of a DNS query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsTransport {
    /// UDP, and TCP for an answer that is truncated.
    Udp,
    /// TCP.
    Tcp,
}

/// Request of a gRPC probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcCheck {
    /// Service that is asked about; empty for the server as a whole.
    pub service: String,
    /// The `:authority`; the backend's address if not set.
    pub host: Option<String>,
}

/// Version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
