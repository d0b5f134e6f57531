//! A prepared health check, shared by the probes of all backends that use it.

use std::net::{IpAddr, SocketAddr};

use compact_str::CompactString;
use maglev_engine::config::{CheckKind, HealthCheck, HttpCheck};
use maglev_engine::outcome::{Finding, ProbeCode, ProbeOutcome};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::connect::{First, acknowledge, connect};
use super::http::{self, Answer, NotSent};
use super::icmp::{self, Echo};
use super::inquiry::{Details, Inquiry, Kept};
use super::tls::Client;

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

    /// Makes one request as a client does, over `kept` if that has a connection, which then has the one for the next
    /// request, if there is to be one. `source` goes before the check's; its port may be 0. An ICMP check is a probe.
    pub async fn ask(
        &self,
        target: IpAddr,
        source: Option<SocketAddr>,
        inquiry: &Inquiry,
        kept: &mut Option<Kept>,
    ) -> (ProbeOutcome, Details) {
        let started = Instant::now();
        let deadline = started + self.check.timeout;
        let (port, http) = match &self.check.kind {
            CheckKind::Tcp { port, .. } => (*port, None),
            CheckKind::Http { port, http, .. } => (*port, Some(http)),
            CheckKind::Icmp => return (self.probe(target).await, Details::default()),
        };
        let target = SocketAddr::new(target, port);
        let source = source.or_else(|| self.source(target.ip()));
        let opened = match kept.take() {
            Some(stream) => Ok(stream),
            None => self.open(target, source, deadline).await,
        };
        let mut details = Details::default();
        let found = match (opened, http) {
            (Err(failure), _) => failure,
            (Ok(stream), None) => {
                *kept = Some(stream).filter(|_| inquiry.keep);
                let is_tls = self.tls.is_some();
                if is_tls { handshake_complete() } else { connected() }
            }
            (Ok(mut stream), Some(http)) => {
                let mut answer = Answer::to(http, inquiry);
                let exchanged = match &mut stream {
                    Kept::Plain(tcp) => {
                        http::exchange(tcp, target, false, &mut answer, deadline, acknowledge).await
                    }
                    Kept::Tls(tls) => {
                        let below = |tls: &TlsStream<TcpStream>| acknowledge(tls.get_ref().0);
                        http::exchange(tls.as_mut(), target, true, &mut answer, deadline, below).await
                    }
                };
                details = answer.details();
                *kept =
                    Some(stream).filter(|_| inquiry.keep && exchanged.is_ok() && answer.leaves_connection());
                exchanged.unwrap_or_else(NotSent::after_connecting)
            }
        };
        let (code, detail) = found;
        (ProbeOutcome { code, detail, duration: started.elapsed() }, details)
    }

    /// A new connection for a request.
    async fn open(
        &self,
        target: SocketAddr,
        source: Option<SocketAddr>,
        deadline: Instant,
    ) -> Result<Kept, Finding> {
        let first = match (&self.check.kind, &self.tls) {
            (CheckKind::Http { .. }, None) => First::Probe,
            _ => First::Nobody,
        };
        let stream = connect(target, source, first, deadline).await?;
        match &self.tls {
            None => Ok(Kept::Plain(stream)),
            Some(tls) => {
                Ok(Kept::Tls(Box::new(Box::pin(tls.handshake(stream, target.ip(), deadline)).await?)))
            }
        }
    }

    fn source(&self, target: IpAddr) -> Option<SocketAddr> {
        self.check.source_for(target).map(|source| SocketAddr::new(source, 0))
    }

    async fn tcp(&self, target: SocketAddr, deadline: Instant) -> Result<Finding, Finding> {
        let stream = connect(target, self.source(target.ip()), First::Nobody, deadline).await?;
        let Some(tls) = &self.tls else {
            return Ok(connected());
        };
        Box::pin(tls.handshake(stream, target.ip(), deadline)).await?;
        Ok(handshake_complete())
    }

    async fn http(
        &self,
        target: SocketAddr,
        check: &HttpCheck,
        deadline: Instant,
    ) -> Result<Finding, Finding> {
        let source = self.source(target.ip());
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

fn connected() -> Finding {
    (ProbeCode::L4Ok, CompactString::const_new("connected"))
}

fn handshake_complete() -> Finding {
    (ProbeCode::L6Ok, CompactString::const_new("TLS handshake complete"))
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
    let found =
        http::request(&mut stream, target, true, check, deadline, |stream| acknowledge(stream.get_ref().0))
            .await;
    Ok(found.unwrap_or_else(NotSent::after_connecting))
}
