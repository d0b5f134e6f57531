//! `healthchecks:`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::addresses::{ipv4, ipv6};
use super::ca_file::CaFiles;
use super::complaint::Complaint;
use super::http_values::{ca_file, headers, host, method, path, regexp, server_name, status_codes};
use super::lints::{self, Times};
use super::model::{CheckKind, HealthCheck, HttpCheck, HttpMethod, StatusCodes, TlsCheck};
use super::report::Report;
use super::section::{Section, listed};
use super::show;
use super::values::{DAY, boolean, check_name, duration, integer, port, text};
use super::yaml::{Located, Node, Place};

/// Keys of a health check.
pub(super) const CHECK_KEYS: &[&str] = &[
    "down-interval",
    "fall",
    "fast-interval",
    "interval",
    "params",
    "port",
    "probe-ipv4-src",
    "probe-ipv6-src",
    "rise",
    "timeout",
    "type",
];

/// Keys of `params:`, for all types together.
pub(super) const PARAM_KEYS: &[&str] = &[
    "ca-file",
    "headers",
    "host",
    "insecure-skip-verify",
    "method",
    "path",
    "response-code",
    "response-regexp",
    "server-name",
    "sni",
    "ssl",
    "ssl-verify",
];

pub(super) const HTTP_KEYS: &[&str] =
    &["headers", "host", "method", "path", "response-code", "response-regexp"];
pub(super) const TLS_KEYS: &[&str] = &["ca-file", "insecure-skip-verify", "server-name", "sni", "ssl-verify"];

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

/// Types of health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Tcp,
    Http,
    Https,
    Icmp,
}

impl Type {
    pub(super) const NAMES: [(&'static str, Type); 4] =
        [("tcp", Type::Tcp), ("http", Type::Http), ("https", Type::Https), ("icmp", Type::Icmp)];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, of)| *of == self).map_or("", |(name, _)| name)
    }

    fn read(node: &Node) -> Result<Type, Complaint> {
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
            Type::Tcp => key == "ssl" || TLS_KEYS.contains(&key),
            Type::Http => HTTP_KEYS.contains(&key),
            Type::Https => HTTP_KEYS.contains(&key) || TLS_KEYS.contains(&key),
            Type::Icmp => false,
        }
    }
}

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
        let section = Section::open(title, entry.key.place, &entry.node, CHECK_KEYS, report);
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

    let kind = check_kind(section, of.map(|of| of.value), files, report);
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
    });
    CheckDraft { check, place: section.place }
}

/// Reads `port` and `params` completely, even if the type is unknown.
fn check_kind(
    section: &Section<'_>,
    of: Option<Type>,
    files: &mut CaFiles<'_>,
    report: &mut Report<'_>,
) -> Option<CheckKind> {
    let given_port = section.read("port", port, report);
    let params = section.section("params", section.subject("params"), PARAM_KEYS, report);
    if let (Some(params), Some(of)) = (&params, of) {
        refuse_strange_params(params, of, report);
    }
    let http = HttpCheck::read(params.as_ref(), report);
    let tls = tls(params.as_ref(), files, report);
    let ssl = params.as_ref().and_then(|params| params.read("ssl", boolean, report));
    let port_or = |default| given_port.as_ref().map_or(default, |port: &Located<u16>| port.value);
    match of? {
        Type::Tcp => {
            if section.entry("port").is_none() {
                report.invalid(
                    section.place,
                    format!("{} has no `port`", section.title),
                    "a tcp check needs the port to connect to",
                );
            }
            let with_tls = ssl.is_some_and(|ssl| ssl.value);
            if let Some(params) = params.as_ref().filter(|_| !with_tls) {
                refuse_tls_without_ssl(params, report);
            }
            Some(CheckKind::Tcp { port: given_port?.value, tls: with_tls.then_some(tls) })
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
            response_codes: StatusCodes(vec![DEFAULT_CODES]),
            response_regexp: None,
        };
        let Some(params) = params else { return check };
        check.method = params.read_or("method", check.method, method, report);
        check.path = params.read_or("path", check.path, path, report);
        check.host = params.read("host", host, report).map(|host| host.value);
        check.headers = headers(params, report);
        check.response_codes = params.read_or("response-code", check.response_codes, status_codes, report);
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
