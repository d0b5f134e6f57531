//! What is tested: VIPs with the request that is made of each, from configurations, from a brain, or from the command
//! line.

mod brain;
mod configured;
mod given;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use maglev_engine::config::{
    CheckKind, Exchange, HealthCheck, HttpCheck, HttpMethod, StatusCodes, TlsCheck, Via,
};

pub use brain::from_brain;
pub(crate) use brain::vip;
pub use configured::from_config;
pub use given::{GivenError, from_text};

/// Ports that speak HTTP, and HTTP over TLS, if nothing else is known of a frontend.
const HTTP_PORTS: [u16; 2] = [80, 8080];
const HTTPS_PORTS: [u16; 2] = [443, 8443];

/// A VIP to test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The frontend's name, or the VIP as it was given.
    pub name: String,
    /// Where it is.
    pub vip: SocketAddr,
    /// What is asked of it.
    pub request: Request,
    /// VPP tells flows apart by their source address alone, so that all requests of one address go to one server.
    pub src_ip_sticky: bool,
}

/// What is asked of a VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there are no more of them than VIPs")]
pub enum Request {
    /// A connection, with TLS or without, and perhaps an HTTP request.
    Check(CheckKind),
    /// A datagram.
    Udp,
}

/// Settings of requests that the command line has, and VIPs have not.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Of a whole request.
    pub timeout: Duration,
    /// Host header and TLS server name, instead of the check's.
    pub host: Option<String>,
    /// Path, instead of the check's.
    pub path: Option<String>,
    /// Certificates are not verified.
    pub insecure: bool,
    /// The datagram of UDP requests.
    pub udp_payload: Option<Vec<u8>>,
    /// Source addresses; the first of a VIP's family is used.
    pub sources: Vec<IpAddr>,
}

impl Request {
    /// Its name in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Check(CheckKind::Http { tls: Some(_), .. }) => "https",
            Self::Check(CheckKind::Http { .. }) => "http",
            Self::Check(CheckKind::Tcp { tls: Some(_), .. }) => "tls",
            Self::Check(_) => "tcp",
            Self::Udp => "udp",
        }
    }

    /// By the port of a TCP service alone.
    fn of_port(port: u16) -> Self {
        match port {
            _ if HTTP_PORTS.contains(&port) => Self::http(port, None),
            _ if HTTPS_PORTS.contains(&port) => Self::http(port, Some(verified())),
            _ => Self::tcp(port),
        }
    }

    fn tcp(port: u16) -> Self {
        Self::Check(CheckKind::Tcp { port, exchange: Exchange::default(), tls: None })
    }

    fn http(port: u16, tls: Option<TlsCheck>) -> Self {
        Self::Check(CheckKind::Http { port, http: get("/"), tls })
    }
}

/// `GET` with the defaults of health checks.
fn get(path: &str) -> HttpCheck {
    HttpCheck {
        method: HttpMethod::Get,
        path: path.to_owned(),
        host: None,
        headers: Vec::new(),
        body: String::new(),
        keepalive: false,
        response_codes: StatusCodes(vec![(200, 399)]),
        response_regexp: None,
        drain_codes: StatusCodes::default(),
        agent_header: None,
    }
}

/// Why the VIP of a frontend is not tested.
fn all_ports(frontend: &str) -> String {
    format!("{frontend}: a VIP of all ports: name one on the command line")
}

fn verified() -> TlsCheck {
    TlsCheck { verify: true, sni: None, ca_file: None }
}

impl Target {
    /// The request as a health check, shaped by the command line; `None` for UDP.
    pub fn check(&self, shape: &Shape) -> Option<HealthCheck> {
        let Request::Check(kind) = &self.request else { return None };
        let mut kind = kind.clone();
        let (CheckKind::Tcp { tls, .. } | CheckKind::Http { tls, .. }) = &mut kind else { return None };
        if let Some(tls) = tls {
            tls.verify &= !shape.insecure;
            tls.sni = shape.host.clone().map(|host| host_name(&host)).or_else(|| tls.sni.take());
        }
        if let CheckKind::Http { http, .. } = &mut kind {
            http.host = shape.host.clone().or_else(|| http.host.take());
            http.path = shape.path.clone().unwrap_or_else(|| std::mem::take(&mut http.path));
            http.method = HttpMethod::Get;
            let is_agent = |(name, _): &(String, String)| name.eq_ignore_ascii_case("user-agent");
            http.headers.retain(|header| !is_agent(header));
            let agent = concat!("maglevt/", env!("CARGO_PKG_VERSION"));
            http.headers.push(("User-Agent".to_owned(), agent.to_owned()));
        }
        let source = shape.source_for(self.vip.ip());
        Some(HealthCheck {
            kind,
            interval: shape.timeout,
            fast_interval: shape.timeout,
            down_interval: shape.timeout,
            timeout: shape.timeout,
            rise: 1,
            fall: 1,
            probe_ipv4_src: source
                .and_then(|source| if let IpAddr::V4(v4) = source { Some(v4) } else { None }),
            probe_ipv6_src: source
                .and_then(|source| if let IpAddr::V6(v6) = source { Some(v6) } else { None }),
            send_proxy: None,
            via: Via::Direct,
            agent: None,
        })
    }
}

impl Shape {
    /// The source address of requests to this VIP, if one is given for its family.
    pub fn source_for(&self, vip: IpAddr) -> Option<IpAddr> {
        self.sources.iter().copied().find(|source| source.is_ipv4() == vip.is_ipv4())
    }
}

/// The name in a Host header, which may have a port behind it.
fn host_name(host: &str) -> String {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
