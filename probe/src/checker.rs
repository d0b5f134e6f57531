//! A prepared health check, shared by the probes of all backends that use it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::{AgentLine, CheckKind, Exchange, GrpcCheck, HealthCheck, HttpCheck};
use maglev_engine::outcome::{Finding, ProbeCode, ProbeOutcome, Share};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::connect::{First, Source, acknowledge, connect, reset};
use super::dns::{self, Question};
use super::http::{self, Answer, NotSent};
use super::icmp::{self, Echo};
use super::inquiry::{Details, Inquiry, Kept};
use super::tls::{self, Client};
use super::{agent_line, exchange, grpc, proxy, udp};

/// Probes backends by one health check.
#[derive(Debug)]
pub struct Checker<E> {
    check: HealthCheck,
    tls: Option<Client>,
    question: Option<Question>,
    echoes: E,
}

/// The end of a request, and what was asked for besides.
pub(super) struct Asked {
    pub(super) finding: Finding,
    /// The share of its weight that the server asks for.
    pub(super) share: Option<Share>,
    details: Details,
    /// The connection broke before any part of an answer.
    pub(super) is_unanswered: bool,
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
            CheckKind::Grpc { tls, grpc, .. } => {
                tls.as_ref().map(|tls| Client::new(tls, grpc.host.as_deref()).for_http2())
            }
            CheckKind::Icmp | CheckKind::Udp { .. } | CheckKind::Dns { .. } => None,
        };
        let question = match &check.kind {
            CheckKind::Dns { dns, .. } => Some(Question::new(dns.clone())),
            _ => None,
        };
        Self { check, tls, question, echoes }
    }

    pub(super) fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// Time limit of a whole probe.
    pub fn timeout(&self) -> Duration {
        self.check.timeout
    }

    /// Runs one probe, which ends within the check's timeout.
    pub async fn probe(&self, target: IpAddr) -> ProbeOutcome {
        let deadline = Instant::now() + self.check.timeout;
        if let Some(agent) = &self.check.agent {
            // In memory of its own, which other probes do not take.
            return Box::pin(self.probe_and_ask(target, agent, deadline)).await;
        }
        self.run(SocketAddr::new(target, self.check.kind.port()), self.source(target), None, deadline).await
    }

    async fn probe_and_ask(&self, target: IpAddr, agent: &AgentLine, deadline: Instant) -> ProbeOutcome {
        let at = SocketAddr::new(target, self.check.kind.port());
        let probe = self.run(at, self.source(target), None, deadline);
        self.with_agent(target, agent, probe, deadline).await
    }

    /// Runs a probe, and asks the server's agent meanwhile. A probe that fails is not held up by the agent.
    pub(super) async fn with_agent(
        &self,
        target: IpAddr,
        agent: &AgentLine,
        probe: impl Future<Output = ProbeOutcome>,
        deadline: Instant,
    ) -> ProbeOutcome {
        let asked =
            agent_line::ask(SocketAddr::new(target, agent.port), self.source(target), agent, deadline);
        tokio::pin!(probe, asked);
        let (outcome, word) = tokio::select! {
            outcome = &mut probe => {
                if !outcome.passed() {
                    return outcome;
                }
                (outcome, asked.await)
            }
            word = &mut asked => (probe.await, word),
        };
        agent_line::complete(word, agent.port, outcome)
    }

    /// Runs one probe of a VIP, which ends at the deadline, from an address that is only routed to this machine. Echo
    /// requests have the given size.
    pub async fn probe_vip(
        &self,
        vip: SocketAddr,
        source: IpAddr,
        size: Option<u16>,
        deadline: Instant,
    ) -> ProbeOutcome {
        let source = Source { address: SocketAddr::new(source, 0), is_routed: true };
        self.run(vip, Some(source), size, deadline).await
    }

    async fn run(
        &self,
        target: SocketAddr,
        source: Option<Source>,
        size: Option<u16>,
        deadline: Instant,
    ) -> ProbeOutcome {
        let started = Instant::now();
        let found = match &self.check.kind {
            CheckKind::Tcp { exchange, .. } => {
                self.tcp(target, source, exchange, deadline).await.map(without_word)
            }
            CheckKind::Http { http, .. } => self.http(target, source, http, deadline).await,
            CheckKind::Icmp => {
                let source = source.map(|source| source.address.ip());
                let (code, detail, round_trip) =
                    icmp::echo(&self.echoes, target.ip(), source, size, deadline).await;
                let duration = round_trip.unwrap_or_else(|| started.elapsed());
                return ProbeOutcome { code, detail, duration, asked: None };
            }
            // In memory of their own, which the most frequent probes do not take.
            CheckKind::Udp { exchange, .. } => {
                Box::pin(udp::ask(target, source, exchange, deadline)).await.map(without_word)
            }
            CheckKind::Dns { dns, .. } => match &self.question {
                Some(question) => {
                    Box::pin(dns::ask(question, target, source, deadline)).await.map(without_word)
                }
                None => Err((ProbeCode::SockErr, format_compact!("no question about {}", dns.name))),
            },
            CheckKind::Grpc { grpc, .. } => {
                Box::pin(self.grpc(target, source, grpc, deadline)).await.map(without_word)
            }
        };
        let ((code, detail), asked) = found.unwrap_or_else(|failure| (failure, None));
        ProbeOutcome { code, detail, duration: started.elapsed(), asked }
    }

    /// Makes one request as a client does, over `kept` if that has a connection, which then has the one for the next
    /// request, if there is to be one. `source` goes before the check's; its port may be 0. A check of another type than
    /// tcp, http and https is a probe.
    pub async fn ask(
        &self,
        target: IpAddr,
        source: Option<SocketAddr>,
        inquiry: &Inquiry,
        kept: &mut Option<Kept>,
    ) -> (ProbeOutcome, Details) {
        let started = Instant::now();
        if !matches!(self.check.kind, CheckKind::Tcp { .. } | CheckKind::Http { .. }) {
            return (self.probe(target).await, Details::default());
        }
        let asked = self.ask_until(target, source, inquiry, kept, started + self.check.timeout).await;
        let (code, detail) = asked.finding;
        (ProbeOutcome { code, detail, duration: started.elapsed(), asked: asked.share }, asked.details)
    }

    /// Makes one request of a tcp, http or https check.
    pub(super) async fn ask_until(
        &self,
        target: IpAddr,
        source: Option<SocketAddr>,
        inquiry: &Inquiry,
        kept: &mut Option<Kept>,
        deadline: Instant,
    ) -> Asked {
        let http = if let CheckKind::Http { http, .. } = &self.check.kind { Some(http) } else { None };
        let target = SocketAddr::new(target, self.check.kind.port());
        let source = source.map(Source::from).or_else(|| self.source(target.ip()));
        let opened = match kept.take() {
            Some(stream) => Ok(stream),
            None => self.open(target, source, deadline).await,
        };
        let mut details = Details::default();
        let mut is_unanswered = false;
        let (finding, share) = match (opened, http) {
            (Err(failure), _) => (failure, None),
            (Ok(stream), None) => {
                *kept = Some(stream).filter(|_| inquiry.keep);
                let is_tls = self.tls.is_some();
                without_word(if is_tls { handshake_complete() } else { connected() })
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
                is_unanswered = match &exchanged {
                    Ok((code, _)) => *code == ProbeCode::L7Rsp && answer.is_missing(),
                    Err(not_sent) => matches!(not_sent, NotSent::Failed(_)),
                };
                *kept =
                    Some(stream).filter(|_| inquiry.keep && exchanged.is_ok() && answer.leaves_connection());
                match exchanged {
                    Ok(finding) => answer.complete(finding),
                    Err(not_sent) => without_word(not_sent.after_connecting()),
                }
            }
        };
        Asked { finding, share, details, is_unanswered }
    }

    /// A new connection for a request.
    async fn open(
        &self,
        target: SocketAddr,
        source: Option<Source>,
        deadline: Instant,
    ) -> Result<Kept, Finding> {
        let first = match (&self.check.kind, &self.tls) {
            (CheckKind::Http { .. }, None) => First::Probe,
            _ => First::Nobody,
        };
        let mut stream = connect(target, source, first, deadline).await?;
        self.introduce(&mut stream, target, deadline).await?;
        match &self.tls {
            None => Ok(Kept::Plain(stream)),
            Some(tls) => {
                Ok(Kept::Tls(Box::new(Box::pin(tls.handshake(stream, target.ip(), deadline)).await?)))
            }
        }
    }

    fn source(&self, target: IpAddr) -> Option<Source> {
        self.check.source_for(target).map(|source| SocketAddr::new(source, 0).into())
    }

    /// Begins the connection with a PROXY header, if the check has one.
    async fn introduce(
        &self,
        stream: &mut TcpStream,
        target: SocketAddr,
        deadline: Instant,
    ) -> Result<(), Finding> {
        match self.check.send_proxy {
            Some(version) => Box::pin(proxy::introduce(stream, version, target, deadline)).await,
            None => Ok(()),
        }
    }

    async fn tcp(
        &self,
        target: SocketAddr,
        source: Option<Source>,
        exchange: &Exchange,
        deadline: Instant,
    ) -> Result<Finding, Finding> {
        let mut stream = connect(target, source, First::Nobody, deadline).await?;
        self.introduce(&mut stream, target, deadline).await?;
        let send = exchange.send.as_deref().unwrap_or_default();
        match (&self.tls, &exchange.expect) {
            (None, None) => Ok(connected()),
            (None, Some(expect)) => {
                Ok(Box::pin(exchange::converse(&mut stream, send, expect, deadline)).await)
            }
            (Some(tls), expect) => {
                let mut stream = Box::pin(tls.handshake(stream, target.ip(), deadline)).await?;
                Ok(match expect {
                    Some(expect) => Box::pin(exchange::converse(&mut stream, send, expect, deadline)).await,
                    None => handshake_complete(),
                })
            }
        }
    }

    async fn grpc(
        &self,
        target: SocketAddr,
        source: Option<Source>,
        check: &GrpcCheck,
        deadline: Instant,
    ) -> Result<Finding, Finding> {
        match self.open(target, source, deadline).await? {
            Kept::Plain(stream) => Ok(grpc::ask(stream, target, false, check, deadline).await),
            Kept::Tls(stream) => {
                tls::require_http2(&stream)?;
                Ok(grpc::ask(*stream, target, true, check, deadline).await)
            }
        }
    }

    async fn http(
        &self,
        target: SocketAddr,
        source: Option<Source>,
        check: &HttpCheck,
        deadline: Instant,
    ) -> Result<(Finding, Option<Share>), Finding> {
        if let Some(tls) = &self.tls {
            // Saving a packet gains nothing in a handshake of several round trips.
            let mut stream = connect(target, source, First::Nobody, deadline).await?;
            self.introduce(&mut stream, target, deadline).await?;
            return Box::pin(https(tls, stream, target, check, deadline)).await;
        }
        let mut stream = connect(target, source, First::Probe, deadline).await?;
        self.introduce(&mut stream, target, deadline).await?;
        let found = http::request(&mut stream, target, false, check, deadline, acknowledge).await;
        if source.is_none() && matches!(found, Ok(((ProbeCode::L7Ok, _), _))) {
            reset(stream, target);
        }
        found.map_err(NotSent::after_connecting)
    }
}

/// The finding of a server that was not asked for its own word.
fn without_word(finding: Finding) -> (Finding, Option<Share>) {
    (finding, None)
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
) -> Result<(Finding, Option<Share>), Finding> {
    let mut stream = tls.handshake(stream, target.ip(), deadline).await?;
    let found =
        http::request(&mut stream, target, true, check, deadline, |stream| acknowledge(stream.get_ref().0))
            .await;
    found.map_err(NotSent::after_connecting)
}
