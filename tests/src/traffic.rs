//! A client that sends requests to the VIP, each on its own connection, and records who answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Results of some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of answers by server.
    pub answers: BTreeMap<String, u32>,
    /// Number of failures by kind.
    pub failures: BTreeMap<String, u32>,
}

impl Tally {
    /// Requests in all.
    pub fn sent(&self) -> u32 {
        self.answered() + self.failed()
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u32 {
        self.answers.values().sum()
    }

    /// Requests that were not.
    pub fn failed(&self) -> u32 {
        self.failures.values().sum()
    }

    /// The servers that answered.
    pub fn who(&self) -> Vec<&str> {
        self.answers.keys().map(String::as_str).collect()
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.answers {
            *self.answers.entry(name.clone()).or_default() += count;
        }
        for (kind, count) in &other.failures {
            *self.failures.entry(kind.clone()).or_default() += count;
        }
    }

    fn count(&mut self, result: Result<String, String>) {
        match result {
            Ok(name) => *self.answers.entry(name).or_default() += 1,
            Err(kind) => *self.failures.entry(kind).or_default() += 1,
        }
    }
}

/// Asks an address over HTTP.
#[derive(Debug, Clone)]
pub struct Asker {
    client: reqwest::Client,
    url: String,
}

impl Asker {
    /// Asks this VIP. No connection is used twice, and no proxy.
    pub fn new(vip: SocketAddr) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT)
            .build()
            .context("no HTTP client")?;
        Ok(Self { client, url: format!("http://{vip}/") })
    }

    /// The same target, with one connection that is kept open between requests.
    pub fn keeping_its_connection(self) -> anyhow::Result<Self> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().context("no HTTP client")?;
        Ok(Self { client, ..self })
    }

    /// Sends one request; returns the server's name, or the kind of failure.
    pub async fn ask(&self) -> Result<String, String> {
        let answer = async { self.client.get(&self.url).send().await?.error_for_status()?.text().await };
        match answer.await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.is_timeout() => Err("timeout".to_owned()),
            Err(error) if error.is_connect() => Err("refused".to_owned()),
            Err(error) if error.is_status() => Err("bad status".to_owned()),
            Err(_) => Err("broken off".to_owned()),
        }
    }

    /// So many requests, one after the other.
    pub async fn ask_times(&self, times: u32) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..times {
            tally.count(self.ask().await);
        }
        tally
    }
}

/// Requests that go on in the background until this is dropped.
#[derive(Debug)]
pub struct Traffic {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// Starts to ask, once a period; a slow answer delays the next request.
    pub fn start(asker: Asker, period: Duration) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let counted = Arc::clone(&tally);
        let task = tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let result = asker.ask().await;
                locked(&counted).count(result);
            }
        });
        Self { tally, task }
    }

    /// Takes the results since the last call. A request in progress counts for the next call.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *locked(&self.tally))
    }

    /// The results since the last [`take`](Self::take).
    pub fn look(&self) -> Tally {
        locked(&self.tally).clone()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    // Counting cannot panic while it holds the lock.
    tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
