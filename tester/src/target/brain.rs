//! VIPs of a brain, from its answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use maglev_engine::config::{CheckKind, HttpCheck, StatusCodes, TlsCheck};
use maglev_proto::{Backend, Frontend, HealthCheck};

use super::{Request, Target, get, verified};

/// The VIPs that can be tested, and for each other one why it cannot.
pub fn from_brain(
    frontends: &[Frontend],
    backends: &[Backend],
    checks: &[HealthCheck],
) -> (Vec<Target>, Vec<String>) {
    let of_backend: BTreeMap<_, _> =
        backends.iter().map(|backend| (backend.name.as_str(), backend.healthcheck.as_str())).collect();
    let of_name: BTreeMap<_, _> = checks.iter().map(|check| (check.name.as_str(), check)).collect();
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for frontend in frontends {
        let Some(vip) = vip(frontend) else {
            left_out.push(super::all_ports(&frontend.name));
            continue;
        };
        let members = frontend.pools.iter().flat_map(|pool| &pool.backends);
        let mut asked = members.filter_map(|member| {
            let check = of_name.get(of_backend.get(member.backend.as_str())?)?;
            http(check).map(|(http, tls)| CheckKind::Http { port: vip.port(), http, tls })
        });
        let request = match frontend.protocol.as_str() {
            "udp" => Request::Udp,
            _ => asked.next().map_or_else(|| Request::of_port(vip.port()), Request::Check),
        };
        let (name, src_ip_sticky) = (frontend.name.clone(), frontend.src_ip_sticky);
        targets.push(Target { name, vip, request, src_ip_sticky });
    }
    (targets, left_out)
}

/// Where a frontend's VIP is; `None` without a port.
pub(crate) fn vip(frontend: &Frontend) -> Option<SocketAddr> {
    let port = u16::try_from(frontend.port).ok().filter(|port| *port != 0)?;
    Some(SocketAddr::new(frontend.address.parse().ok()?, port))
}

/// The request of an HTTP check, from its parameters in words. Authorities of a file and values that are hidden are not
/// among them.
fn http(check: &HealthCheck) -> Option<(HttpCheck, Option<TlsCheck>)> {
    let tls = match check.r#type.as_str() {
        "http" => None,
        "https" => Some(verified()),
        _ => return None,
    };
    let value = |key: &str| {
        let found = check.parameters.iter().find(|parameter| parameter.key == key);
        found.map(|parameter| parameter.value.as_str())
    };
    // What answers POST may not answer GET.
    if value("method") == Some("POST") {
        return None;
    }
    let mut http = get(value("path").unwrap_or("/"));
    // Otherwise it is a description: no host has blanks.
    http.host = value("host").filter(|host| !host.contains(' ')).map(str::to_owned);
    if let Some(codes) = value("response-code").and_then(codes) {
        http.response_codes = codes;
    }
    let tls = tls.map(|tls| TlsCheck {
        verify: value("ssl-verify") != Some("false"),
        sni: value("sni").filter(|name| *name != "none").map(str::to_owned),
        ..tls
    });
    Some((http, tls))
}

/// `200,301-399`
fn codes(text: &str) -> Option<StatusCodes> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').map(range).collect::<Option<_>>().map(StatusCodes)
}
