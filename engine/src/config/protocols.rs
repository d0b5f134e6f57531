//! Parameters of DNS and gRPC checks, and of the PROXY protocol.

use super::characters::refuse;
use super::check_model::{DnsCheck, DnsTransport, GrpcCheck, ProxyVersion, RCODES, RECORD_TYPES};
use super::complaint::Complaint;
use super::http_values::{host, is_host_name, regexp};
use super::report::Report;
use super::section::{Section, listed};
use super::show;
use super::values::text;
use super::yaml::Node;

pub(super) const DNS_KEYS: &[&str] = &["answer-regexp", "name", "rcode", "record-type", "transport"];

/// Longest name of a gRPC service, in bytes.
const LONGEST_SERVICE: usize = 256;
pub(super) const DNS_PORT: u16 = 53;

pub(super) const PROXY_VERSIONS: [(&str, ProxyVersion); 2] =
    [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
pub(super) const TRANSPORTS: [(&str, DnsTransport); 2] =
    [("udp", DnsTransport::Udp), ("tcp", DnsTransport::Tcp)];
/// One of these words.
pub(super) fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Result<T, Complaint> {
    move |node| {
        let given = text(node)?;
        let known = words.iter().find(|(word, _)| *word == given);
        known.map(|&(_, value)| value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Complaint::invalid(
                format!("is {}, which is not known", show(&given)),
                format!("write {}", listed(&words).replace(" and ", " or ")),
            )
        })
    }
}

/// The question and the expected answer. `None` if the name is missing or rejected.
pub(super) fn dns(
    check: &Section<'_>,
    params: Option<&Section<'_>>,
    report: &mut Report<'_>,
) -> Option<DnsCheck> {
    let help = "a dns check needs the name to ask for, like `params: { name: www.example.org }`";
    let Some(params) = params else {
        report.invalid(check.place, format!("{} has no `name` in `params`", check.title), help);
        return None;
    };
    let name = params.require("name", help, domain_name, report);
    let record_type = params.read_or("record-type", RECORD_TYPES[0].1, one_of(&RECORD_TYPES), report);
    let rcode = params.read_or("rcode", RCODES[0].1, one_of(&RCODES), report);
    let answer_regexp = params.read("answer-regexp", regexp, report).map(|regexp| regexp.value);
    let transport = params.read_or("transport", DnsTransport::Udp, one_of(&TRANSPORTS), report);
    Some(DnsCheck { name: name?.value, record_type, rcode, answer_regexp, transport })
}

/// A domain name with or without its last dot; `.` is the root.
fn domain_name(node: &Node) -> Result<String, Complaint> {
    let name = text(node)?;
    if name == "." || is_host_name(name.strip_suffix('.').unwrap_or(&name)) {
        return Ok(name);
    }
    Err(Complaint::invalid(
        format!("is {}, which is not a domain name", show(&name)),
        "write a name like `www.example.org`, in its ASCII form, or `.` for the root",
    ))
}

/// The service that is asked about, and the server's name.
pub(super) fn grpc(params: Option<&Section<'_>>, report: &mut Report<'_>) -> GrpcCheck {
    let Some(params) = params else { return GrpcCheck::default() };
    GrpcCheck {
        service: params.read_or("service", String::new(), service, report),
        host: params.read("host", host, report).map(|host| host.value),
    }
}

fn service(node: &Node) -> Result<String, Complaint> {
    let service = text(node)?;
    refuse(&service, char::is_control, "write the service's name alone")?;
    if service.len() <= LONGEST_SERVICE {
        return Ok(service);
    }
    Err(Complaint::invalid(
        format!("has {} bytes, which is too many", service.len()),
        format!("write at most {LONGEST_SERVICE} bytes, like `shop.v1.Cart`"),
    ))
}
