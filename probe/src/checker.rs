//! A prepared health check, shared by the probes of all backends that use it.

use std::net::{IpAddr, SocketAddr};

use maglev_engine::config::{CheckKind, HealthCheck, HttpCheck};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connect::{First, acknowledge, connect};
use super::http::{self, NotSent};
use super::icmp::{self, Echo};
use super::tls::Client;

/// Result of a probe, and its description.
type Finding = (ProbeCode, String);

/// Probes backends by one health check.
#[derive(Debug)]
pub struct Checker<E> {
    check: HealthCheck,
    tls: Option<Client>,
    echoes: E,
}

impl<E: Echo> Checker<E> {
    /// Prepares a check. The first check that verifies certificates with the system's authorities loads
    /// those. Echo requests are sent by `echoes`.
    pub fn new(check: HealthCheck, echoes: E) -> Self {
        let tls = match &check.kind {
            CheckKind::Tcp { tls, .. } => tls.as_ref().map(|tls| Client::new(tls, None)),
            CheckKind::Http { tls, http, .. } => {
                tls.as_ref().map(|tls| Client::new(tls, http.host.as_deref()))
            }
            CheckKind::Icmp => None,
        };
        Self { check, tls, echoes }
    }

    /// Runs one probe, which ends within the check's timeout.
    pub async fn probe(&self, target: IpAddr) -> ProbeOutcome {
        let started = Instant::now();
        let deadline = started + self.check.timeout;
        let found = match &self.check.kind {
            CheckKind::Tcp { port, .. } => self.tcp(SocketAddr::new(target, *port), deadline).await,
            CheckKind::Http { port, http, .. } => {
                self.http(SocketAddr::new(target, *port), http, deadline).await
            }
            CheckKind::Icmp => {
                let source = self.check.source_for(target);
                let (code, detail, round_trip) = icmp::echo(&self.echoes, target, source, deadline).await;
                let duration = round_trip.unwrap_or_else(|| started.elapsed());
                return ProbeOutcome { code, detail, duration };
            }
        };
        let (Ok((code, detail)) | Err((code, detail))) = found;
        ProbeOutcome { code, detail, duration: started.elapsed() }
    }

    async fn tcp(&self, target: SocketAddr, deadline: Instant) -> Result<Finding, Finding> {
        let stream = connect(target, self.check.source_for(target.ip()), First::Nobody, deadline).await?;
        let Some(tls) = &self.tls else {
            return Ok((ProbeCode::L4Ok, "connected".to_owned()));
        };
        Box::pin(tls.handshake(stream, target.ip(), deadline)).await?;
        Ok((ProbeCode::L6Ok, "TLS handshake complete".to_owned()))
    }

    async fn http(
        &self,
        target: SocketAddr,
        check: &HttpCheck,
        deadline: Instant,
    ) -> Result<Finding, Finding> {
        let source = self.check.source_for(target.ip());
        if let Some(tls) = &self.tls {
            // Saving a packet gains nothing in a handshake of several round trips.
            let stream = connect(target, source, First::Nobody, deadline).await?;
            return Box::pin(https(tls, stream, target, check, deadline)).await;
        }
        let mut stream = connect(target, source, First::Probe, deadline).await?;
        let found = http::request(&mut stream, target, false, check, deadline, acknowledge).await;
        Ok(found.unwrap_or_else(NotSent::after_connecting))
    }
}

/// In a boxed future of its own: TLS needs several kilobytes, which other probes should not allocate.
async fn https(
    tls: &Client,
    stream: TcpStream,
    target: SocketAddr,
    check: &HttpCheck,
    deadline: Instant,
) -> Result<Finding, Finding> {
    let mut stream = tls.handshake(stream, target.ip(), deadline).await?;
    let found =
        http::request(&mut stream, target, true, check, deadline, |stream| acknowledge(stream.get_ref().0))
            .await;
    Ok(found.unwrap_or_else(NotSent::after_connecting))
}
