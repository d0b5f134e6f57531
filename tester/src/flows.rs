//! Long-lived flows through a VIP, each used once a second: whether they break, move to another server, or stall.
//!
//! A flow is a connection that is kept. Over HTTP each use is a request whose answer names the server; over plain TCP a
//! byte each way, which takes a server that echoes and may greet with its name; over UDP a datagram and its reply. One
//! that ends is opened again from the same port, so that VPP's hash of it stays the same: if another server answers it,
//! it has moved.
//!
//! Tasks: one for each flow, until it is aborted, at any point.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use maglev_engine::outcome::Verdict;
use maglev_probe::Kept;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep_until, timeout};

use crate::class::Class;
use crate::client::{Client, Naming};
use crate::locked;
use crate::pace::{Cadence, Rate};
use crate::servers;
use crate::stats::UNNAMED;
use crate::target::{Request, Shape, Target};
use crate::udp;

/// Time between two uses of a flow.
const PERIOD: Duration = Duration::from_secs(1);
/// Newest events that are kept.
const EVENTS: usize = 100;
/// What a plain TCP flow sends: servers that repeat lines answer it as well.
const BYTE: &[u8] = b"\n";

/// What happened to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Its connection ended before its time.
    Broke,
    /// Another server answers it.
    Moved,
    /// No answer came in time; it is opened again.
    Stalled,
}

impl Fate {
    /// In lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broke => "broke",
            Self::Moved => "moved",
            Self::Stalled => "stalled",
        }
    }
}

/// One event of one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowEvent {
    /// When.
    pub at: Instant,
    /// Number of the flow, from 1.
    pub flow: u32,
    /// What happened.
    pub fate: Fate,
    /// The reason, or the two servers.
    pub words: String,
}

/// What is counted of the flows of one VIP. Pure.
#[derive(Debug, Clone, Default)]
pub struct FlowBook {
    open: BTreeMap<u32, String>,
    /// The server of each flow, also while it is not open.
    known: BTreeMap<u32, String>,
    exchanged: u64,
    counts: BTreeMap<Fate, u64>,
    events: VecDeque<FlowEvent>,
}

impl FlowBook {
    /// A flow was used, and answered by this server.
    pub fn answered(&mut self, flow: u32, server: &str, now: Instant) {
        self.exchanged += 1;
        let server = servers::clean(server);
        match self.known.insert(flow, server.clone()) {
            Some(before) if before != server => {
                self.happened(flow, Fate::Moved, format!("{before} -> {server}"), now);
            }
            _ => {}
        }
        self.open.insert(flow, server);
    }

    /// A flow was lost. One that could not be opened has not broken.
    pub fn lost(&mut self, flow: u32, fate: Fate, words: &str, now: Instant) {
        if let Some(server) = self.open.remove(&flow) {
            let words = format!("{server}: {}", maglev_proto::client::printable(words));
            self.happened(flow, fate, words, now);
        }
    }

    fn happened(&mut self, flow: u32, fate: Fate, words: String, at: Instant) {
        *self.counts.entry(fate).or_default() += 1;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(FlowEvent { at, flow, fate, words });
    }

    /// Begins a new run with the flows that are open.
    pub fn reset(&mut self) {
        let (open, known) = (std::mem::take(&mut self.open), std::mem::take(&mut self.known));
        *self = Self { open, known, ..Self::default() };
    }

    /// Flows that are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Open flows by server.
    pub fn by_server(&self) -> BTreeMap<&str, u64> {
        let mut servers = BTreeMap::new();
        self.open.values().for_each(|server| *servers.entry(server.as_str()).or_default() += 1);
        servers
    }

    /// Answers of all flows.
    pub fn exchanged(&self) -> u64 {
        self.exchanged
    }

    /// How many flows met with this.
    pub fn count(&self, fate: Fate) -> u64 {
        self.counts.get(&fate).copied().unwrap_or(0)
    }

    /// The newest events, the oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &FlowEvent> {
        self.events.iter()
    }
}

/// Keeps flow number `flow` going, for ever.
pub(crate) async fn hold(
    flow: u32,
    target: Target,
    shape: Shape,
    naming: Naming,
    book: Arc<Mutex<FlowBook>>,
    rate: Arc<Mutex<Rate>>,
) {
    let mut held = Held::new(&target, &shape, &naming);
    let now = tokio::time::Instant::now().into_std();
    let mut cadence = Cadence::new(PERIOD, now + PERIOD.mul_f64(fastrand::f64()));
    loop {
        sleep_until(cadence.due().into()).await;
        let turn = locked(&rate).reserve(tokio::time::Instant::now().into_std());
        sleep_until(turn.into()).await;
        let used = held.use_once().await;
        let now = tokio::time::Instant::now().into_std();
        match used {
            Ok(server) => locked(&book).answered(flow, &server, now),
            Err((fate, words)) => locked(&book).lost(flow, fate, &words, now),
        }
        cadence.ended(now, fastrand::f64());
    }
}

/// A flow with its connection, if it has one.
struct Held {
    client: Client,
    vip: SocketAddr,
    timeout: Duration,
    udp: Option<(udp::Asking, Option<UdpSocket>)>,
    is_tcp: bool,
    /// Of a plain TCP flow, once it is open.
    tcp: Option<(TcpStream, String)>,
    source: Option<SocketAddr>,
}

type Lost = (Fate, String);

impl Held {
    fn new(target: &Target, shape: &Shape, naming: &Naming) -> Self {
        let asking =
            udp::Asking { payload: shape.udp_payload.clone().unwrap_or_default(), timeout: shape.timeout };
        let client = Client::new(target, shape, naming, true);
        Self {
            source: client.source(),
            client,
            vip: target.vip,
            timeout: shape.timeout,
            udp: matches!(target.request, Request::Udp).then_some((asking, None)),
            is_tcp: matches!(target.request.word(), "tcp" | "tls"),
            tcp: None,
        }
    }

    /// Uses the flow, after opening it if need be; the server that answered.
    async fn use_once(&mut self) -> Result<String, Lost> {
        let used = match (&mut self.udp, self.is_tcp) {
            (Some(_), _) => self.use_udp().await,
            (None, true) => self.use_tcp().await,
            (None, false) => self.use_http().await,
        };
        if let Err((Fate::Broke, words)) = &used
            && words.contains("cannot probe from")
        {
            // The port is taken meanwhile; another one takes its place, which is another flow to VPP.
            self.source = self.client.source();
        }
        used
    }

    async fn use_http(&mut self) -> Result<String, Lost> {
        let exchange = self.client.ask_from(self.source).await;
        if let Some(kept) = self.client.kept() {
            self.source = kept.tcp().local_addr().ok();
        }
        match Class::of(&exchange.outcome) {
            None if self.client.kept().is_none() => {
                Err((Fate::Broke, "the server closes the connection after its answer".to_owned()))
            }
            None => Ok(exchange.server.unwrap_or_else(|| UNNAMED.to_owned())),
            Some(Class::Timeout) => Err((Fate::Stalled, exchange.outcome.to_string())),
            Some(_) => Err((Fate::Broke, exchange.outcome.to_string())),
        }
    }

    async fn use_udp(&mut self) -> Result<String, Lost> {
        let Some((asking, socket)) = &mut self.udp else { return Err((Fate::Broke, String::new())) };
        let broke = |error: std::io::Error| (Fate::Broke, maglev_proto::client::innermost(&error));
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(udp::open(self.vip, self.source).await.map_err(broke)?),
        };
        let exchange = asking.exchange(socket, tokio::time::Instant::now()).await;
        match Class::of(&exchange.outcome) {
            None => Ok(exchange.server.unwrap_or_else(|| UNNAMED.to_owned())),
            Some(Class::Timeout) => Err((Fate::Stalled, exchange.outcome.to_string())),
            Some(_) => Err((Fate::Broke, exchange.outcome.to_string())),
        }
    }

    async fn use_tcp(&mut self) -> Result<String, Lost> {
        let is_new = self.tcp.is_none();
        let (mut stream, mut server) = match self.tcp.take() {
            Some(open) => open,
            None => (self.connect().await?, UNNAMED.to_owned()),
        };
        let mut answer = [0; 256];
        let exchanged = async {
            // A byte that came late would stand for the answer to this one; what comes first is the greeting.
            while !is_new && stream.try_read(&mut answer).is_ok_and(|length| length > 0) {}
            stream.write_all(BYTE).await?;
            stream.read(&mut answer).await
        };
        let length = match timeout(self.timeout, exchanged).await {
            Ok(Ok(0)) => return Err((Fate::Broke, "closed by the server".to_owned())),
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return Err((Fate::Broke, maglev_proto::client::innermost(&error))),
            Err(_) => return Err((Fate::Stalled, "no byte came back in time".to_owned())),
        };
        if is_new && let Some(name) = udp::first_line(answer.get(..length).unwrap_or_default()) {
            server = name;
        }
        self.tcp = Some((stream, server.clone()));
        Ok(server)
    }

    async fn connect(&mut self) -> Result<TcpStream, Lost> {
        let exchange = self.client.ask_from(self.source).await;
        if exchange.outcome.code.verdict() != Verdict::Passed {
            return Err((Fate::Broke, exchange.outcome.to_string()));
        }
        match self.client.kept().take() {
            Some(Kept::Plain(stream)) => {
                self.source = stream.local_addr().ok();
                Ok(stream)
            }
            _ => Err((Fate::Broke, "flows over TLS need HTTP".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
