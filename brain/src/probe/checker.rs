//! A health check, ready for use: what the probes of all backends that have it share.

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use super::connect::First;
use super::{ProbeCode, ProbeOutcome, connect, http};
use crate::config::{CheckKind, HealthCheck};

/// Probes backends as one health check says.
#[derive(Debug)]
pub struct Checker {
    check: HealthCheck,
}

impl Checker {
    /// Prepares a check.
    pub fn new(check: HealthCheck) -> Self {
        Self { check }
    }

    /// Runs one probe to its end, which comes within the check's timeout.
    pub async fn probe(&self, target: IpAddr) -> ProbeOutcome {
        let started = Instant::now();
        let (code, detail) = self.run(target, started + self.check.timeout).await;
        ProbeOutcome { code, detail, duration: started.elapsed() }
    }

    async fn run(&self, target: IpAddr, deadline: Instant) -> (ProbeCode, String) {
        let source = self.check.source_for(target);
        match &self.check.kind {
            CheckKind::Tcp { port, tls: None } => {
                match connect::connect(SocketAddr::new(target, *port), source, First::Nobody, deadline).await
                {
                    Ok(stream) => {
                        connect::reset(stream);
                        (ProbeCode::L4Ok, "connected".to_owned())
                    }
                    Err(failure) => failure,
                }
            }
            CheckKind::Http { port, http, tls: None } => {
                let target = SocketAddr::new(target, *port);
                match connect::connect(target, source, First::Probe, deadline).await {
                    Ok(mut stream) => {
                        let result = http::request(&mut stream, target, false, http, deadline).await;
                        connect::reset(stream);
                        result.unwrap_or_else(http::NotSent::after_connecting)
                    }
                    Err(failure) => failure,
                }
            }
            // The configuration admits no backend with such a check.
            CheckKind::Tcp { tls: Some(_), .. } | CheckKind::Http { tls: Some(_), .. } | CheckKind::Icmp => {
                (ProbeCode::L4Con, "this version has no such check".to_owned())
            }
        }
    }
}
