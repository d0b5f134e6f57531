//! A client that asks the VIP again and again, each time over a connection of its own, and remembers who
//! answered: the tester of VIPs, as a library.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use maglev_tester::class::Class;
use maglev_tester::client::{Client, Naming};
use maglev_tester::run::{Options, Tester};
use maglev_tester::target::{Shape, Target, from_text};

pub use maglev_tester::stats::Tally;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More requests a second than anybody asks for here.
const UNLIMITED: u32 = 1_000_000;

/// Asks an address over HTTP.
#[derive(Debug, Clone)]
pub struct Asker {
    target: Target,
}

/// The same over a connection that is kept open between requests.
#[derive(Debug)]
pub struct Connection(Client);

impl Asker {
    /// Asks this VIP. No connection is used twice.
    pub fn new(vip: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { target: from_text(&format!("http://{vip}/"))? })
    }

    /// The same target, over one connection.
    pub fn keeping_its_connection(&self) -> Connection {
        Connection(self.client(true))
    }

    /// One request; the name of who answered, or the class of the failure.
    pub async fn ask(&self) -> Result<String, Class> {
        ask(&mut self.client(false)).await
    }

    /// So many requests, one after the other.
    pub async fn ask_times(&self, times: u32) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..times {
            match self.ask().await {
                Ok(name) => *tally.answers.entry(name).or_default() += 1,
                Err(class) => *tally.failures.entry(class).or_default() += 1,
            }
        }
        tally
    }

    fn client(&self, keep: bool) -> Client {
        Client::new(&self.target, &shape(), &Naming::default(), keep)
    }
}

impl Connection {
    /// One request; the name of who answered, or the class of the failure.
    pub async fn ask(&mut self) -> Result<String, Class> {
        ask(&mut self.0).await
    }
}

async fn ask(client: &mut Client) -> Result<String, Class> {
    let exchange = client.ask().await;
    match Class::of(&exchange.outcome) {
        None => Ok(exchange.server.unwrap_or_default()),
        Some(class) => Err(class),
    }
}

fn shape() -> Shape {
    Shape { timeout: TIMEOUT, ..Shape::default() }
}

/// Requests that go on in the background until this is dropped.
#[derive(Debug)]
pub struct Traffic {
    tester: Tester,
    taken: Mutex<Tally>,
}

impl Traffic {
    /// Starts to ask, once a period; a slow answer delays the next request.
    pub fn start(asker: Asker, period: Duration) -> Self {
        let options = Options {
            interval: period,
            vip_rate: UNLIMITED,
            rate: UNLIMITED,
            keepalive: false,
            flows: 0,
            probes: true,
            shape: shape(),
            naming: Naming::default(),
        };
        Self { tester: Tester::start(vec![asker.target], &options), taken: Mutex::default() }
    }

    /// Takes the results since the last call. A request in progress counts for the next call.
    pub fn take(&self) -> Tally {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.all();
        let since = all.since(&taken);
        *taken = all;
        since
    }

    /// The results since the last [`take`](Self::take).
    pub fn look(&self) -> Tally {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.all().since(&taken)
    }

    fn all(&self) -> Tally {
        let mut all = Tally::default();
        for vip in self.tester.vips() {
            all.add(&vip.stats.lock().unwrap_or_else(PoisonError::into_inner).tally());
        }
        all
    }
}
