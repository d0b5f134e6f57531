//! Builds an HTTP request.

use std::io::Write;
use std::net::SocketAddr;

use maglev_engine::config::{HttpCheck, HttpMethod};

/// The User-Agent header of HTTP probes.
pub(crate) const USER_AGENT: &str = concat!("maglev-brain/", env!("CARGO_PKG_VERSION"));

/// Adds the whole request; `keep` leaves the connection open for another one. The configuration holds only what can stand in one as it is.
pub(super) fn put(out: &mut Vec<u8>, target: SocketAddr, tls: bool, keep: bool, check: &HttpCheck) {
    let mut put = |part: &str| out.extend_from_slice(part.as_bytes());
    put(check.method.name());
    put(" ");
    put(&check.path);
    put(" HTTP/1.1\r\nHost: ");
    match &check.host {
        Some(host) => put(host),
        None => put_address(out, target, tls),
    }
    let mut put = |part: &str| out.extend_from_slice(part.as_bytes());
    put(if keep { "\r\n" } else { "\r\nConnection: close\r\n" });
    if !check.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        put("User-Agent: ");
        put(USER_AGENT);
        put("\r\n");
    }
    for (name, value) in &check.headers {
        for part in [name, ": ", value, "\r\n"] {
            put(part);
        }
    }
    if check.method == HttpMethod::Post {
        // Writing to a vector cannot fail.
        write!(out, "Content-Length: {}\r\n", check.body.len()).ok();
    }
    out.extend_from_slice(b"\r\n");
    if check.method == HttpMethod::Post {
        out.extend_from_slice(check.body.as_bytes());
    }
}

/// The scheme's default port is omitted (RFC 9110, 4.2).
fn put_address(out: &mut Vec<u8>, target: SocketAddr, tls: bool) {
    let own_port = if tls { 443 } else { 80 };
    let written = match target {
        _ if target.port() != own_port => write!(out, "{target}"),
        SocketAddr::V4(v4) => write!(out, "{}", v4.ip()),
        SocketAddr::V6(v6) => write!(out, "[{}]", v6.ip()),
    };
    // Writing to a vector cannot fail.
    written.ok();
}

#[cfg(test)]
mod tests;
