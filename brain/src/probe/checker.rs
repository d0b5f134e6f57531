//! A health check, ready for use: what the probes of all backends that have it share.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connect::{First, connect};
use super::http::{self, NotSent};
use super::tls::Client;
use super::{ProbeCode, ProbeOutcome};
use crate::config::{CheckKind, HealthCheck, HttpCheck};

/// What a probe found, and in words.
type Finding = (ProbeCode, String);

/// Probes backends as one health check says.
#[derive(Debug)]
pub struct Checker {
    check: HealthCheck,
    tls: Option<Client>,
}

impl Checker {
    /// Prepares a check. The first one that verifies certificates against the system's authorities reads those.
    pub fn new(check: HealthCheck) -> Self {
        let tls = match &check.kind {
            CheckKind::Tcp { tls, .. } => tls.as_ref().map(|tls| Client::new(tls, None)),
            CheckKind::Http { tls, http, .. } => {
                tls.as_ref().map(|tls| Client::new(tls, http.host.as_deref()))
            }
            CheckKind::Icmp => None,
        };
        Self { check, tls }
    }

    /// Runs one probe to its end, which comes within the check's timeout.
    pub async fn probe(&self, target: IpAddr) -> ProbeOutcome {
        let started = Instant::now();
        let (code, detail) = match self.run(target, started + self.check.timeout).await {
            Ok(finding) | Err(finding) => finding,
        };
        ProbeOutcome { code, detail, duration: started.elapsed() }
    }

    async fn run(&self, target: IpAddr, deadline: Instant) -> Result<Finding, Finding> {
        let source = self.check.source_for(target);
        match &self.check.kind {
            CheckKind::Tcp { port, .. } => {
                let first = if self.tls.is_some() { First::Probe } else { First::Nobody };
                let stream = connect(SocketAddr::new(target, *port), source, first, deadline).await?;
                let Some(tls) = &self.tls else {
                    return Ok((ProbeCode::L4Ok, "connected".to_owned()));
                };
                Box::pin(tls.handshake(stream, target, deadline)).await?;
                Ok((ProbeCode::L6Ok, "TLS handshake complete".to_owned()))
            }
            CheckKind::Http { port, http, .. } => {
                let target = SocketAddr::new(target, *port);
                let mut stream = connect(target, source, First::Probe, deadline).await?;
                match &self.tls {
                    Some(tls) => Box::pin(https(tls, stream, target, http, deadline)).await,
                    None => Ok(http::request(&mut stream, target, false, http, deadline)
                        .await
                        .unwrap_or_else(NotSent::after_connecting)),
                }
            }
            CheckKind::Icmp => Ok((ProbeCode::SockErr, "no agent".to_owned())),
        }
    }
}

/// Apart, and in memory of its own: TLS needs several kilobytes, which probes without it shall not take.
async fn https(
    tls: &Client,
    stream: TcpStream,
    target: SocketAddr,
    check: &HttpCheck,
    deadline: Instant,
) -> Result<Finding, Finding> {
    let mut stream = tls.handshake(stream, target.ip(), deadline).await?;
    let found = http::request(&mut stream, target, true, check, deadline).await;
    Ok(found.unwrap_or_else(NotSent::after_connecting))
}
