//! Probes: what one does, and when.
//!
//! Every probe opens a connection of its own and closes it; nothing is reused, no redirect is followed, no
//! proxy is asked. A probe's timeout covers all of it, whatever the backend does.

mod connect;
mod http;
mod outcome;
pub mod prober;
mod schedule;

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

pub use outcome::{ProbeCode, ProbeOutcome, Verdict};
pub use prober::{Prober, Report};
pub use schedule::Pace;

use crate::config::{CheckKind, HealthCheck};

/// Name and version that HTTP probes introduce themselves with.
pub const USER_AGENT: &str = concat!("maglev-brain/", env!("CARGO_PKG_VERSION"));

/// Runs one probe to its end, which comes within the check's timeout.
pub async fn probe(target: IpAddr, check: &HealthCheck) -> ProbeOutcome {
    let started = Instant::now();
    let deadline = started + check.timeout;
    let (code, detail) = run(target, check, deadline).await;
    ProbeOutcome { code, detail, duration: started.elapsed() }
}

async fn run(target: IpAddr, check: &HealthCheck, deadline: Instant) -> (ProbeCode, String) {
    let source = check.source_for(target);
    match &check.kind {
        CheckKind::Tcp { port, tls: None } => {
            match connect::connect(SocketAddr::new(target, *port), source, deadline).await {
                Ok(stream) => {
                    connect::reset(stream);
                    (ProbeCode::L4Ok, "connected".to_owned())
                }
                Err(failure) => failure,
            }
        }
        CheckKind::Http { port, http, tls: None } => {
            let target = SocketAddr::new(target, *port);
            match connect::connect(target, source, deadline).await {
                Ok(stream) => http::request(stream, target, http, deadline).await,
                Err(failure) => failure,
            }
        }
        // The configuration admits no backend with such a check.
        CheckKind::Tcp { tls: Some(_), .. } | CheckKind::Http { tls: Some(_), .. } | CheckKind::Icmp => {
            (ProbeCode::L4Con, "this version has no such check".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
