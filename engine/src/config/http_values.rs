//! Readers of the parameters of HTTP and TLS checks. They accept only what can be sent as it is, so that no
//! configured value can break or alter a request.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::characters::{is_deceptive, named, refuse};
use super::complaint::Complaint;
use super::model::{HttpMethod, StatusCodes};
use super::pattern::Pattern;
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{LONGEST_NAME, kind, text};
use super::yaml::{Node, Scalar, ScalarKind, Value};

pub(super) const METHODS: [HttpMethod; 4] =
    [HttpMethod::Get, HttpMethod::Head, HttpMethod::Options, HttpMethod::Post];

/// A method. Methods are case-sensitive (RFC 9110, 9.1).
pub(super) fn method(node: &Node) -> Result<HttpMethod, Complaint> {
    let method = text(node)?;
    METHODS.into_iter().find(|known| known.name() == method).ok_or_else(|| {
        Complaint::invalid(
            format!("is {}, which no check may use", show(&method)),
            "write `GET`, `HEAD`, `OPTIONS` or `POST`: a check must change nothing on the backend",
        )
    })
}

/// A path with its query (RFC 3986, 3.3 and 3.4).
pub(super) fn path(node: &Node) -> Result<String, Complaint> {
    let path = text(node)?;
    if !path.starts_with('/') {
        return Err(Complaint::invalid(
            format!("is {}, which does not begin with `/`", show(&path)),
            "write the path alone, like `/healthz`; the server's name belongs in `host`",
        ));
    }
    if let Some(wrong) = unfit(&path) {
        return Err(Complaint::invalid(
            format!("is {}, which has {} in it", show(&path), named(wrong)),
            if wrong == '#' {
                "leave the fragment out: it is never sent to a server".to_owned()
            } else {
                let mut buffer = [0; 4];
                let escaped: String =
                    wrong.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("write this character as `{escaped}`")
            },
        ));
    }
    if !escapes_are_complete(&path) {
        return Err(Complaint::invalid(
            format!("is {}, which has a `%` without two hexadecimal digits", show(&path)),
            "write a percent sign itself as `%25`",
        ));
    }
    Ok(path)
}

/// The first character that a path and its query cannot have.
fn unfit(path: &str) -> Option<char> {
    path.chars().find(|&char| !(char.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%[]".contains(char)))
}

fn escapes_are_complete(path: &str) -> bool {
    let is_complete =
        |after: &str| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    path.split('%').skip(1).all(is_complete)
}

/// The path and query of a URL; else what is wrong, without repeating the path, which may be secret.
pub(super) fn request_path(path: &str) -> Result<&str, String> {
    match unfit(path) {
        Some('#') => Err("with a fragment, which is never sent to a server".to_owned()),
        Some(wrong) => Err(format!("with {} in it, which must be escaped", named(wrong))),
        None if !escapes_are_complete(path) => Err("with a `%` without two hexadecimal digits".to_owned()),
        None => Ok(path),
    }
}

/// The value of a Host header: a name or address, with an optional port (RFC 9110, 7.2).
pub(super) fn host(node: &Node) -> Result<String, Complaint> {
    let host = text(node)?;
    if host_header(&host).is_some() {
        return Ok(host);
    }
    let bare = host.trim_start_matches('[').split(['%', ']']).next().unwrap_or_default();
    let help = match bare.parse::<Ipv6Addr>() {
        Ok(bare) => format!("write an IPv6 address in brackets and without a zone: `[{bare}]`, perhaps with `:port`"),
        Err(_) => "write a name or an address, like `www.example.org`, `192.0.2.1` or `[2001:db8::1]`, perhaps with `:port`".to_owned(),
    };
    Err(Complaint::invalid(format!("is {}, which cannot be a Host header", show(&host)), help))
}

/// The same text, if it is a name or address with an optional port.
pub(super) fn host_header(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => (literal.parse::<Ipv6Addr>().ok().map(|_| "")?, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = port.is_empty() || port.strip_prefix(':').and_then(decimal).is_some();
    let name_fits = if host.starts_with('[') { name.is_empty() } else { is_host_name(name) };
    (port_fits && name_fits).then_some(host)
}

/// The name for SNI and for verifying the certificate.
pub(super) fn server_name(node: &Node) -> Result<String, Complaint> {
    let name = text(node)?;
    if is_host_name(&name) || name.parse::<IpAddr>().is_ok() {
        return Ok(name);
    }
    let bare = name.trim_start_matches('[').split(['%', ']']).next().unwrap_or_default();
    let help = match bare.parse::<Ipv6Addr>() {
        Ok(bare) => format!("write an address without brackets, port and zone: `{bare}`"),
        Err(_) => "write a DNS name without port, like `www.example.org`".to_owned(),
    };
    Err(Complaint::invalid(format!("is {}, which is not a server's name", show(&name)), help))
}

/// The rules of DNS, plus the underscore that real names have.
pub(super) fn is_host_name(name: &str) -> bool {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(label_fits)
}

/// The path of a PEM file.
pub(super) fn ca_file(node: &Node) -> Result<String, Complaint> {
    absolute_path(node, "write the whole path of a PEM file, beginning with `/`")
}

/// An absolute path.
pub(super) fn absolute_path(node: &Node, help: &str) -> Result<String, Complaint> {
    let file = text(node)?;
    refuse(&file, is_deceptive, "name the file without it")?;
    if file.starts_with('/') {
        return Ok(file);
    }
    Err(Complaint::invalid(format!("is {}, which is not an absolute path", show(&file)), help))
}

/// Digits only: the standard parser accepts a sign as well.
fn decimal(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Valid status codes.
pub(super) const CODES: RangeInclusive<u16> = 100..=599;

/// Codes and ranges, such as `200,204,300-399`.
pub(super) fn status_codes(node: &Node) -> Result<StatusCodes, Complaint> {
    let help = "write codes from 100 to 599 and ascending ranges of them, like \"200,204,300-399\"";
    let spelled = match &node.value {
        Value::Scalar(Scalar { text, kind }) if !matches!(kind, ScalarKind::Bool(_)) => text,
        _ => {
            return Err(Complaint::malformed(format!("is {}, where status codes belong", kind(node)), help));
        }
    };
    let bad = |part: &str, problem: &str| {
        let whole = if part == spelled { String::new() } else { format!(" in {}", show(spelled)) };
        Complaint::invalid(format!("has {}{whole}, {problem}", show(part)), help)
    };
    let code = |part: &str, digits: &str| {
        decimal(digits.trim())
            .filter(|code| CODES.contains(code) && digits.trim().len() == 3)
            .ok_or_else(|| bad(part, "which is not a status code"))
    };
    let mut ranges = Vec::new();
    for part in spelled.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (code(part, first)?, code(part, last)?);
        if first > last {
            return Err(bad(part, "a range that does not ascend"));
        }
        ranges.push((first, last));
    }
    Ok(StatusCodes(ranges))
}

/// The same, also as a list: `[404, 503]`.
pub(super) fn drain_codes(node: &Node) -> Result<StatusCodes, Complaint> {
    let Value::List(items) = &node.value else { return status_codes(node) };
    let ranges = items.iter().map(|item| status_codes(item).map(|codes| codes.0));
    Ok(StatusCodes(ranges.collect::<Result<Vec<_>, _>>()?.concat()))
}

/// The name of a response header.
pub(super) fn agent_header(node: &Node) -> Result<String, Complaint> {
    let name = text(node)?;
    if is_token(&name) && name.len() <= LONGEST_NAME {
        return Ok(name);
    }
    Err(Complaint::invalid(
        format!("is {}, which cannot be a header's name", show(&name)),
        format!("a header's name has 1 to {LONGEST_NAME} letters, digits and `-`, like `X-Maglev-Weight`"),
    ))
}

/// Whether a text can be a header's name (RFC 9110, 5.1).
fn is_token(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    !name.is_empty() && name.chars().all(fits)
}

/// A regular expression for a body.
pub(super) fn regexp(node: &Node) -> Result<Pattern, Complaint> {
    let pattern = text(node)?;
    let is_wrong = |char| is_deceptive(char) && !matches!(char, '\t' | '\n' | '\r');
    refuse(&pattern, is_wrong, "write it as an escape, like `\\x{A0}`, if the body has it")?;
    pattern.parse().map_err(|error: regex::Error| {
        // The library's message is a drawing of several lines; the last one has the reason.
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Complaint::invalid(
            format!("is {}, which is not a regular expression: {reason}", show(&pattern)),
            "see https://docs.rs/regex/latest/regex/#syntax; single quotes keep backslashes as they are",
        )
    })
}

/// Headers that every probe sets itself, or that would change the framing of a message.
const RESERVED: [&str; 8] =
    ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// Request headers (RFC 9110, 5.1 and 5.5), in the order given.
pub(super) fn headers(params: &Section<'_>, report: &mut Report<'_>) -> Vec<(String, String)> {
    let subject = params.subject("headers");
    let mut headers: Vec<(String, String)> = Vec::new();
    for entry in params.named("headers", report) {
        let name = &entry.key.value;
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            report.invalid(
                entry.key.place,
                format!("{subject} has {}, which cannot be a header's name", show(name)),
                "a header's name has letters, digits and `-`, like `X-Probe`",
            );
        } else if RESERVED.contains(&lower.as_str()) {
            let help = if lower == "host" { "set `host` beside `headers`" } else { "leave it out" };
            report.invalid(
                entry.key.place,
                format!("{subject} has {}, which the probe sets by itself", show(name)),
                help,
            );
        } else if headers.iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
            report.invalid(
                entry.key.place,
                format!("{subject} has {} twice: case makes no difference", show(name)),
                "keep one of the two",
            );
        }
        match header_value(&entry.node) {
            Ok(value) => headers.push((name.clone(), value)),
            Err(complaint) => {
                let place = if entry.node.value == Value::Null { entry.key.place } else { entry.node.place };
                report.complaint(place, &format!("header {} of {subject}", show(name)), complaint);
            }
        }
    }
    headers
}

fn header_value(node: &Node) -> Result<String, Complaint> {
    let value = text(node)?;
    let fits = |char: char| char.is_ascii_graphic() || char == ' ' || char == '\t';
    if let Some(wrong) = value.chars().find(|&char| !fits(char)) {
        return Err(Complaint::invalid(
            format!("is {}, which has {} in it", show(&value), named(wrong)),
            "write printable ASCII on one line",
        ));
    }
    if value.trim() != value {
        return Err(Complaint::invalid(
            format!("is {}, which has white space at an end", show(&value)),
            "leave it out: a server would drop it",
        ));
    }
    Ok(value)
}
