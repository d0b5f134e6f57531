//! Health checks in use.

use std::collections::BTreeMap;

use hyper::http::uri::Authority;
use maglev_engine::config::{
    self, CheckKind, DnsCheck, DnsTransport, Exchange, HttpCheck, HttpMethod, ProxyVersion, StatusCodes,
    TlsCheck, Via, rcode_name,
};
use maglev_engine::snapshot::Snapshot;
use maglev_proto::{HealthCheck, HealthCheckParameter, HealthCheckUser};

use super::milliseconds;
use super::state_of;

/// Replaces values that would let a reader impersonate the health checker.
const HIDDEN: &str = "(hidden)";
/// Parts of the names of headers whose values are hidden.
const SECRET: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];

/// Sorted by name.
pub(in crate::grpc) fn healthchecks(snapshot: &Snapshot) -> Vec<HealthCheck> {
    let mut users: BTreeMap<&str, Vec<HealthCheckUser>> = BTreeMap::new();
    for (name, backend) in &snapshot.config.backends {
        for check in &backend.healthchecks {
            users.entry(check).or_default().push(user(snapshot, name));
        }
    }
    let checks = snapshot.config.healthchecks.iter();
    checks.map(|(name, check)| proto(name, check, users.remove(name.as_str()).unwrap_or_default())).collect()
}

pub(in crate::grpc) fn healthcheck(snapshot: &Snapshot, name: &str) -> Option<HealthCheck> {
    let check = snapshot.config.healthchecks.get(name)?;
    let backends = snapshot.config.backends.iter();
    let users = backends.filter(|(_, backend)| backend.healthchecks.iter().any(|check| check == name));
    Some(proto(name, check, users.map(|(backend, _)| user(snapshot, backend)).collect()))
}

fn user(snapshot: &Snapshot, backend: &str) -> HealthCheckUser {
    HealthCheckUser { backend: backend.to_owned(), state: state_of(snapshot, backend).into() }
}

fn proto(name: &str, check: &config::HealthCheck, backends: Vec<HealthCheckUser>) -> HealthCheck {
    let (kind, port) = match &check.kind {
        CheckKind::Tcp { port, .. } => ("tcp", *port),
        CheckKind::Http { port, tls: None, .. } => ("http", *port),
        CheckKind::Http { port, tls: Some(_), .. } => ("https", *port),
        CheckKind::Icmp => ("icmp", 0),
        CheckKind::Udp { port, .. } => ("udp", *port),
        CheckKind::Dns { port, .. } => ("dns", *port),
        CheckKind::Grpc { port, .. } => ("grpc", *port),
    };
    HealthCheck {
        name: name.to_owned(),
        r#type: kind.to_owned(),
        port: port.into(),
        interval_ms: milliseconds(check.interval),
        fast_interval_ms: milliseconds(check.fast_interval),
        down_interval_ms: milliseconds(check.down_interval),
        timeout_ms: milliseconds(check.timeout),
        rise: check.rise,
        fall: check.fall,
        parameters: parameters(check),
        backends,
    }
}

/// Parameters by their configuration keys, sorted; headers in their order.
fn parameters(check: &config::HealthCheck) -> Vec<HealthCheckParameter> {
    let system = "chosen by the system";
    let mut all = vec![
        ("probe-ipv4-src", check.probe_ipv4_src.map_or(system.to_owned(), |source| source.to_string())),
        ("probe-ipv6-src", check.probe_ipv6_src.map_or(system.to_owned(), |source| source.to_string())),
    ];
    all.extend(check.send_proxy.map(|version| {
        let version = match version {
            ProxyVersion::V1 => "v1",
            ProxyVersion::V2 => "v2",
        };
        ("send-proxy", version.to_owned())
    }));
    if let Some(agent) = &check.agent {
        all.push(("agent-port", agent.port.to_string()));
        all.push(("agent-send", bytes(agent.send.len())));
    }
    if let Via::Tunnel { size } = check.via {
        all.push(("via", "tunnel".to_owned()));
        all.extend(size.map(|size| ("size", size.to_string())));
    }
    match &check.kind {
        CheckKind::Tcp { exchange, tls, .. } => {
            all.extend(of_exchange(exchange));
            all.push(("ssl", tls.is_some().to_string()));
            all.extend(tls.iter().flat_map(|tls| of_tls(tls, None)));
        }
        CheckKind::Http { http, tls, .. } => {
            all.extend(of_http(http));
            all.extend(tls.iter().flat_map(|tls| of_tls(tls, http.host.as_deref())));
        }
        CheckKind::Icmp => {}
        CheckKind::Udp { exchange, .. } => all.extend(of_exchange(exchange)),
        CheckKind::Dns { dns, .. } => all.extend(of_dns(dns)),
        CheckKind::Grpc { grpc, tls, .. } => {
            all.push(("host", grpc.host.clone().unwrap_or_else(|| "the backend's address".to_owned())));
            all.push(("service", grpc.service.clone()));
            all.push(("ssl", tls.is_some().to_string()));
            all.extend(tls.iter().flat_map(|tls| of_tls(tls, grpc.host.as_deref())));
        }
    }
    // Keeps headers in their order.
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(key, value)| HealthCheckParameter { key: key.to_owned(), value }).collect()
}

fn of_http(http: &HttpCheck) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("host", http.host.clone().unwrap_or_else(|| "the backend's address".to_owned())),
        ("keepalive", http.keepalive.to_string()),
        ("method", http.method.name().to_owned()),
        ("path", http.path.clone()),
        ("response-code", codes(&http.response_codes)),
    ];
    if http.method == HttpMethod::Post {
        all.push(("body", bytes(http.body.len())));
    }
    all.extend(http.headers.iter().map(|(name, value)| {
        let lower = name.to_ascii_lowercase();
        let value = if SECRET.iter().any(|part| lower.contains(part)) { HIDDEN } else { value };
        ("headers", format!("{name}: {value}"))
    }));
    if !http.drain_codes.0.is_empty() {
        all.push(("drain-code", codes(&http.drain_codes)));
    }
    all.extend(http.agent_header.as_ref().map(|name| ("agent-header", name.clone())));
    all.extend(http.response_regexp.as_ref().map(|regexp| ("response-regexp", regexp.as_str().to_owned())));
    all
}

/// What is sent may be a password.
fn bytes(length: usize) -> String {
    format!("{length} bytes {HIDDEN}")
}

fn of_exchange(exchange: &Exchange) -> Vec<(&'static str, String)> {
    let send = exchange.send.iter().map(|send| ("send", bytes(send.len())));
    send.chain(exchange.expect.iter().map(|expect| (expect.key, expect.text.clone()))).collect()
}

fn of_dns(dns: &DnsCheck) -> Vec<(&'static str, String)> {
    let transport = match dns.transport {
        DnsTransport::Udp => "udp",
        DnsTransport::Tcp => "tcp",
    };
    let mut all = vec![
        ("name", dns.name.clone()),
        ("rcode", rcode_name(dns.rcode).unwrap_or_default().to_owned()),
        ("record-type", dns.record_type_name().to_owned()),
        ("transport", transport.to_owned()),
    ];
    all.extend(dns.answer_regexp.as_ref().map(|regexp| ("answer-regexp", regexp.as_str().to_owned())));
    all
}

fn of_tls(tls: &TlsCheck, host: Option<&str>) -> Vec<(&'static str, String)> {
    let authorities = tls.ca_file.as_ref().map_or("the system's authorities", |file| &file.path);
    vec![
        ("ca-file", authorities.to_owned()),
        ("sni", tls.sni.clone().or_else(|| host.map(without_port)).unwrap_or_else(|| "none".to_owned())),
        ("ssl-verify", tls.verify.to_string()),
    ]
}

/// The name or address in a Host header.
fn without_port(host: &str) -> String {
    let name = host.parse::<Authority>().map_or_else(|_| host.to_owned(), |host| host.host().to_owned());
    name.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn codes(StatusCodes(ranges): &StatusCodes) -> String {
    let range = |&(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}
