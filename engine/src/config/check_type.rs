//! Types of health checks, and the parameters that belong to each.

use super::complaint::Complaint;
use super::payload::EXCHANGE_KEYS;
use super::protocols::DNS_KEYS;
use super::section::listed;
use super::show;
use super::values::text;
use super::yaml::Node;

const HTTP_KEYS: &[&str] = &[
    "agent-header",
    "body",
    "drain-code",
    "headers",
    "host",
    "keepalive",
    "method",
    "path",
    "response-code",
    "response-regexp",
    "send-proxy",
];
const GRPC_KEYS: &[&str] = &["host", "send-proxy", "service", "ssl"];
pub(super) const TLS_KEYS: &[&str] = &["ca-file", "insecure-skip-verify", "server-name", "sni", "ssl-verify"];

/// Types of health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Tcp,
    Http,
    Https,
    Icmp,
    Udp,
    Dns,
    Grpc,
}

impl Type {
    pub(super) const NAMES: [(&'static str, Type); 7] = [
        ("tcp", Type::Tcp),
        ("http", Type::Http),
        ("https", Type::Https),
        ("icmp", Type::Icmp),
        ("udp", Type::Udp),
        ("dns", Type::Dns),
        ("grpc", Type::Grpc),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, of)| *of == self).map_or("", |(name, _)| name)
    }

    /// What it needs a port for, which has no default.
    pub(super) fn needs_port(self) -> Option<&'static str> {
        match self {
            Type::Tcp => Some("a tcp check needs the port to connect to"),
            Type::Udp => Some("a udp check needs the port to send to"),
            Type::Grpc => Some("a grpc check needs the port to connect to"),
            Type::Http | Type::Https | Type::Icmp | Type::Dns => None,
        }
    }

    pub(super) fn read(node: &Node) -> Result<Type, Complaint> {
        let given = text(node)?;
        let known = Self::NAMES.iter().find(|(name, _)| *name == given);
        known.map(|&(_, of)| of).ok_or_else(|| {
            let help = if given == "static" || given == "none" {
                "a static backend has no check: leave `healthcheck` out of it".to_owned()
            } else {
                format!("the types are {}", listed(&Self::NAMES.map(|(name, _)| name)))
            };
            Complaint::invalid(format!("is {}, which is not a type of check", show(&given)), help)
        })
    }

    /// The keys of `params` that this type has.
    pub(super) fn params(self) -> impl Fn(&str) -> bool {
        move |key| match self {
            Type::Tcp => {
                ["send-proxy", "ssl"].contains(&key)
                    || EXCHANGE_KEYS.contains(&key)
                    || TLS_KEYS.contains(&key)
            }
            Type::Http => HTTP_KEYS.contains(&key),
            Type::Https => HTTP_KEYS.contains(&key) || TLS_KEYS.contains(&key),
            Type::Icmp => false,
            Type::Udp => EXCHANGE_KEYS.contains(&key),
            Type::Dns => DNS_KEYS.contains(&key),
            Type::Grpc => GRPC_KEYS.contains(&key) || TLS_KEYS.contains(&key),
        }
    }
}
