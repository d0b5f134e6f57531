//! `healthchecks:`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::addresses::{ipv4, ipv6};
use super::ca_file::CaFiles;
use super::check_type::{TLS_KEYS, Type};
use super::http_values::{
    agent_header, ca_file, drain_codes, headers, host, method, path, regexp, server_name, status_codes,
};
use super::lints::{self, Times};
use super::model::{CheckKind, HealthCheck, HttpCheck, HttpMethod, StatusCodes, TlsCheck};
use super::payload::{agent_line, exchange, payload};
use super::protocols::{DNS_PORT, PROXY_VERSIONS, dns, grpc, one_of};
use super::report::Report;
use super::section::{Section, listed};
use super::show;
use super::values::{DAY, boolean, check_name, duration, integer, port};
use super::via::via;
use super::yaml::{Located, Place};

/// Keys of a health check.
pub(super) const CHECK_KEYS: &[&str] = &[
    "agent-port",
    "agent-send",
    "down-interval",
    "fall",
    "fast-interval",
    "interval",
    "params",
    "port",
    "probe-ipv4-src",
    "probe-ipv6-src",
    "rise",
    "size",
    "timeout",
    "type",
    "via",
];

/// Keys of `params:`, for all types together.
pub(super) const PARAM_KEYS: &[&str] = &[
    "agent-header",
    "answer-regexp",
    "body",
    "ca-file",
    "drain-code",
    "expect",
    "expect-hex",
    "expect-regexp",
    "headers",
    "host",
    "insecure-skip-verify",
    "keepalive",
    "method",
    "name",
    "path",
    "rcode",
    "record-type",
    "response-code",
    "response-regexp",
    "send",
    "send-hex",
    "send-proxy",
    "server-name",
    "service",
    "sni",
    "ssl",
    "ssl-verify",
    "transport",
];

/// A shorter interval would be a load test.
pub(super) const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
/// Consecutive results: a larger number would be a typing error.
pub(super) const IN_A_ROW: RangeInclusive<u32> = 1..=1000;
pub(super) const DEFAULT_RISE: u32 = 2;
pub(super) const DEFAULT_FALL: u32 = 3;
pub(super) const DEFAULT_PATH: &str = "/";
pub(super) const DEFAULT_CODES: (u16, u16) = (200, 399);
pub(super) const HTTP_PORT: u16 = 80;
pub(super) const HTTPS_PORT: u16 = 443;

/// A check as far as it could be read.
pub(super) struct CheckDraft {
    /// `None` if a part was rejected.
    pub(super) check: Option<HealthCheck>,
    /// Position of its name.
    pub(super) place: Place,
}

/// Reads `healthchecks:`.
pub(super) fn healthchecks(
    maglev: &Section<'_>,
    files: &mut CaFiles<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<String, CheckDraft> {
    let mut checks = BTreeMap::new();
    for entry in maglev.named("healthchecks", report) {
        let name = &entry.key.value;
        let title = format!("health check {}", show(name));
        if let Err(complaint) = check_name(name) {
            report.complaint(entry.key.place, "the name of a health check", complaint);
        }
        let below = belongs(PARAM_KEYS, "it belongs one level further in, below `params`");
        let section = Section::open_with(title, entry.key.place, &entry.node, CHECK_KEYS, below, report);
        checks.insert(name.clone(), check(&section, files, report));
    }
    checks
}

fn check(section: &Section<'_>, files: &mut CaFiles<'_>, report: &mut Report<'_>) -> CheckDraft {
    let help = format!("set it to one of {}", listed(&Type::NAMES.map(|(name, _)| name)));
    let of = section.require("type", &help, Type::read, report);

    let interval = section.read("interval", duration(INTERVAL), report);
    let default_interval = interval.as_ref().map_or(DEFAULT_INTERVAL, |interval| interval.value);
    let other_interval =
        |key, report: &mut Report<'_>| section.read_or(key, default_interval, duration(INTERVAL), report);
    let fast_interval = other_interval("fast-interval", report);
    let down_interval = other_interval("down-interval", report);
    let timeout = section.read("timeout", duration(TIMEOUT), report);
    let rise = section.read_or("rise", DEFAULT_RISE, integer(IN_A_ROW), report);
    let fall = section.read_or("fall", DEFAULT_FALL, integer(IN_A_ROW), report);
    let times = Times { interval: default_interval, fast_interval, down_interval, timeout, rise, fall };
    lints::times(section, &times, report);
    let probe_ipv4_src = section.read("probe-ipv4-src", ipv4, report).map(|source| source.value);
    let probe_ipv6_src = section.read("probe-ipv6-src", ipv6, report).map(|source| source.value);

    let above = belongs(CHECK_KEYS, "it belongs one level up, beside `params`");
    let params = section.entry("params").map(|entry| {
        let title = section.subject("params");
        Section::open_with(title, entry.key.place, &entry.node, PARAM_KEYS, above, report)
    });
    let send_proxy =
        params.as_ref().and_then(|params| params.read("send-proxy", one_of(&PROXY_VERSIONS), report));
    let kind = check_kind(section, of.map(|of| of.value), params.as_ref(), files, report);
    let via = via(section, params.as_ref(), kind.as_ref(), report);
    let agent = agent_line(section, report);
    let check = kind.map(|kind| HealthCheck {
        kind,
        interval: default_interval,
        fast_interval,
        down_interval,
        timeout: times.timeout.map_or(default_interval, |timeout| timeout.value),
        rise,
        fall,
        probe_ipv4_src,
        probe_ipv6_src,
        send_proxy: send_proxy.map(|version| version.value),
        via,
        agent,
    });
    CheckDraft { check, place: section.place }
}

/// Where a key belongs that does not belong here, if it is one of these.
fn belongs(keys: &'static [&'static str], place: &'static str) -> impl Fn(&str) -> Option<&'static str> {
    move |key| keys.contains(&key).then_some(place)
}

/// Reads `port` and `params` completely, even if the type is unknown.
fn check_kind(
    section: &Section<'_>,
    of: Option<Type>,
    params: Option<&Section<'_>>,
    files: &mut CaFiles<'_>,
    report: &mut Report<'_>,
) -> Option<CheckKind> {
    let given_port = section.read("port", port, report);
    if let (Some(params), Some(of)) = (params, of) {
        refuse_strange_params(params, of, report);
    }
    let http = HttpCheck::read(params, report);
    let tls = tls(params, files, report);
    let ssl = params.and_then(|params| params.read("ssl", boolean, report));
    let exchange = exchange(params, report);
    let port_or = |default| given_port.as_ref().map_or(default, |port: &Located<u16>| port.value);
    let of = of?;
    if let Some(use_of_port) = of.needs_port().filter(|_| section.entry("port").is_none()) {
        report.invalid(section.place, format!("{} has no `port`", section.title), use_of_port);
    }
    let with_tls = ssl.is_some_and(|ssl| ssl.value);
    if let (Type::Tcp | Type::Grpc, Some(params), false) = (of, params, with_tls) {
        refuse_tls_without_ssl(params, report);
    }
    match of {
        Type::Tcp => {
            if let (Some(_), None, Some(params)) = (&exchange.send, &exchange.expect, params) {
                report.invalid(
                    params.place,
                    format!("{} sends something, but expects nothing", section.title),
                    "add `expect`, `expect-hex` or `expect-regexp`: that it was sent says nothing about the server",
                );
            }
            Some(CheckKind::Tcp { port: given_port?.value, exchange, tls: with_tls.then_some(tls) })
        }
        Type::Http => Some(CheckKind::Http { port: port_or(HTTP_PORT), http, tls: None }),
        Type::Https => Some(CheckKind::Http { port: port_or(HTTPS_PORT), http, tls: Some(tls) }),
        Type::Icmp => {
            if let Some(place) = section.key_place("port") {
                report.invalid(
                    place,
                    format!("{} belongs to no check of type `icmp`", section.subject("port")),
                    "ICMP has no ports: leave it out",
                );
            }
            Some(CheckKind::Icmp)
        }
        Type::Udp => {
            if exchange.send.is_none() {
                report.invalid(
                    section.place,
                    format!("{} has neither `send` nor `send-hex` in `params`", section.title),
                    "a udp check needs the datagram to send; it may be empty: `send: ''`",
                );
            }
            Some(CheckKind::Udp { port: given_port?.value, exchange })
        }
        Type::Dns => Some(CheckKind::Dns { port: port_or(DNS_PORT), dns: dns(section, params, report)? }),
        Type::Grpc => {
            let grpc = grpc(params, report);
            Some(CheckKind::Grpc { port: given_port?.value, grpc, tls: with_tls.then_some(tls) })
        }
    }
}

fn refuse_strange_params(params: &Section<'_>, of: Type, report: &mut Report<'_>) {
    let fits = of.params();
    for key in PARAM_KEYS.iter().filter(|key| !fits(key)) {
        let Some(place) = params.key_place(key) else {
            continue;
        };
        let owners: Vec<&str> =
            Type::NAMES.iter().filter(|(_, other)| other.params()(key)).map(|(name, _)| *name).collect();
        let help = match (*key, of) {
            ("ssl", Type::Http) => "set `type: https` for HTTP over TLS".to_owned(),
            ("ssl", Type::Https) => "leave it out: https is always over TLS".to_owned(),
            _ => format!("leave it out, or set `type` to {}", listed(&owners).replace(" and ", " or ")),
        };
        report.invalid(
            place,
            format!("{} does not belong to type `{}`", params.subject(key), of.name()),
            help,
        );
    }
}

fn refuse_tls_without_ssl(params: &Section<'_>, report: &mut Report<'_>) {
    for key in TLS_KEYS {
        if let Some(place) = params.key_place(key) {
            report.invalid(
                place,
                format!("{} is set, but this check does not use TLS", params.subject(key)),
                "add `ssl: true` beside it, or leave it out",
            );
        }
    }
}

impl HttpCheck {
    fn read(params: Option<&Section<'_>>, report: &mut Report<'_>) -> HttpCheck {
        let mut check = HttpCheck {
            method: HttpMethod::Get,
            path: DEFAULT_PATH.to_owned(),
            host: None,
            headers: Vec::new(),
            body: String::new(),
            keepalive: false,
            response_codes: StatusCodes(vec![DEFAULT_CODES]),
            response_regexp: None,
            drain_codes: StatusCodes::default(),
            agent_header: None,
        };
        let Some(params) = params else { return check };
        check.method = params.read_or("method", check.method, method, report);
        check.path = params.read_or("path", check.path, path, report);
        check.host = params.read("host", host, report).map(|host| host.value);
        check.headers = headers(params, report);
        check.keepalive = params.read_or("keepalive", check.keepalive, boolean, report);
        if let Some(body) = params.read("body", payload, report) {
            if check.method != HttpMethod::Post {
                report.invalid(
                    body.place,
                    format!("{} is set, but only POST sends one", params.subject("body")),
                    "set `method: POST`, or leave `body` out",
                );
            }
            check.body = body.value;
        }
        check.response_codes = params.read_or("response-code", check.response_codes, status_codes, report);
        check.drain_codes = params.read_or("drain-code", check.drain_codes, drain_codes, report);
        check.agent_header = params.read("agent-header", agent_header, report).map(|name| name.value);
        if let Some(regexp) = params.read("response-regexp", regexp, report) {
            if check.method == HttpMethod::Head {
                report.invalid(
                    regexp.place,
                    format!(
                        "{} is set, but an answer to HEAD has no body",
                        params.subject("response-regexp")
                    ),
                    "set `method: GET`, or leave `response-regexp` out",
                );
            }
            check.response_regexp = Some(regexp.value);
        }
        check
    }
}

fn tls(params: Option<&Section<'_>>, files: &mut CaFiles<'_>, report: &mut Report<'_>) -> TlsCheck {
    let mut tls = TlsCheck { verify: true, sni: None, ca_file: None };
    let Some(params) = params else { return tls };
    let verify = params.read("ssl-verify", boolean, report);
    let skip_verify = params.read("insecure-skip-verify", boolean, report);
    let sni = params.read("sni", server_name, report);
    let name = params.read("server-name", server_name, report);
    for (key, other) in [("ssl-verify", "insecure-skip-verify"), ("sni", "server-name")] {
        if let (Some(_), Some(place)) = (params.entry(key), params.key_place(other)) {
            report.invalid(
                place,
                format!("{} and `{key}` are two names of one setting", params.subject(other)),
                format!("keep `{key}`"),
            );
        }
    }
    tls.verify = verify.map(|verify| verify.value).or(skip_verify.map(|skip| !skip.value)).unwrap_or(true);
    tls.sni = sni.or(name).map(|name| name.value);
    let file = params.read("ca-file", |node| files.read(&ca_file(node)?), report);
    if let Some(file) = file {
        if !tls.verify {
            report.warning(
                file.place,
                format!("{} is set, but certificates are not verified", params.subject("ca-file")),
                "leave it out, or set `ssl-verify: true`",
            );
        }
        for (doubt, help) in file.value.doubts {
            report.warning(file.place, format!("{} {doubt}", params.subject("ca-file")), help);
        }
        tls.ca_file = Some(file.value.file);
    }
    tls
}
