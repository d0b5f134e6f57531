//! VIPs of a configuration.

use std::net::SocketAddr;

use maglev_engine::config::{CheckKind, Config, Frontend, HttpMethod, Service};

use super::{Request, Target};

/// The VIPs that can be tested, and for each other one why it cannot.
pub fn from_config(config: &Config) -> (Vec<Target>, Vec<String>) {
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for (name, frontend) in &config.frontends {
        let (port, request) = match frontend.service {
            Service::Tcp(port) => (port, request(config, frontend, port)),
            Service::Udp(port) => (port, Request::Udp),
            Service::AllPorts => {
                left_out.push(super::all_ports(name));
                continue;
            }
        };
        let vip = SocketAddr::new(frontend.address, port);
        targets.push(Target { name: name.clone(), vip, request, src_ip_sticky: frontend.src_ip_sticky });
    }
    (targets, left_out)
}

/// As the first HTTP check of the frontend's backends asks, in the order of its pools; without one, by the port.
fn request(config: &Config, frontend: &Frontend, port: u16) -> Request {
    let backends = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
    let backends = backends.filter_map(|backend| config.backends.get(backend));
    let mut checks =
        backends.flat_map(|backend| config.checks_of(backend)).filter_map(|(_, check)| match &check.kind {
            // What answers POST may not answer GET.
            CheckKind::Http { http, tls, .. } if http.method != HttpMethod::Post => {
                Some((http.clone(), tls.clone()))
            }
            CheckKind::Http { .. }
            | CheckKind::Tcp { .. }
            | CheckKind::Icmp
            | CheckKind::Udp { .. }
            | CheckKind::Dns { .. }
            | CheckKind::Grpc { .. } => None,
        });
    match checks.next() {
        Some((http, tls)) => Request::Check(CheckKind::Http { port, http, tls }),
        None => Request::of_port(port),
    }
}
