//! Everything that is counted of one VIP. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use maglev_engine::outcome::ProbeOutcome;

use crate::class::Class;
use crate::latency::Latency;
use crate::outage::Outages;
use crate::servers::{self, Expected, Servers};

/// Newest failures that are kept.
const FAILURES: usize = 100;
/// Longest description of a failure that is kept, in characters.
const LONGEST: usize = 200;

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Code, words and duration.
    pub outcome: ProbeOutcome,
    /// Who answered, if the answer says so.
    pub server: Option<String>,
    /// Which load balancer delivered, if the answer says so.
    pub balancer: Option<String>,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When it started.
    pub at: Instant,
    /// Its class.
    pub class: Class,
    /// Its code and description.
    pub words: String,
}

/// Requests, answers and failures by name and class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by who gave them.
    pub answers: BTreeMap<String, u64>,
    /// Failures by class.
    pub failures: BTreeMap<Class, u64>,
}

/// Name of a server that answers without saying who it is.
pub const UNNAMED: &str = "(unnamed)";

/// What is counted of one VIP.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    sent: u64,
    failures: BTreeMap<Class, u64>,
    newest: VecDeque<Failure>,
    last: Option<Result<ProbeOutcome, Failure>>,
    latency: Latency,
    servers: Servers,
    balancers: BTreeMap<String, u64>,
    outages: Outages,
}

impl Stats {
    /// Adds what came of the request that started at `started` and ended `now`.
    pub fn add(&mut self, exchange: Exchange, started: Instant, now: Instant) {
        let Exchange { outcome, server, balancer } = exchange;
        match Class::of(&outcome) {
            None => {
                self.sent += 1;
                self.outages.add(started, true);
                self.latency.add(outcome.duration);
                self.servers.add(server.as_deref().unwrap_or(UNNAMED), now);
                if let Some(balancer) = balancer {
                    servers::count(&mut self.balancers, &servers::clean(&balancer));
                }
                self.last = Some(Ok(outcome));
            }
            Some(class) => {
                *self.failures.entry(class).or_default() += 1;
                let words = maglev_proto::client::printable(&outcome.to_string());
                let failure = Failure { at: started, class, words: words.chars().take(LONGEST).collect() };
                if self.newest.len() == FAILURES {
                    self.newest.pop_front();
                }
                self.newest.push_back(failure.clone());
                self.last = Some(Err(failure));
                if class != Class::Local {
                    self.sent += 1;
                    self.outages.add(started, false);
                }
            }
        }
    }

    /// Takes the buckets that VPP has now, if they are known.
    pub fn expect(&mut self, expected: Option<Expected>, now: Instant) {
        self.servers.expect(expected, now);
    }

    /// Begins a new run.
    pub fn reset(&mut self, now: Instant) {
        let mut servers = std::mem::take(&mut self.servers);
        servers.reset(now);
        *self = Self { servers, ..Self::default() };
    }

    /// Requests that reached the network.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Those that failed.
    pub fn failed(&self) -> u64 {
        self.sent - self.answered()
    }

    /// Those that were answered well.
    pub fn answered(&self) -> u64 {
        self.servers.run().values().sum()
    }

    /// Failures by class; those on this machine included.
    pub fn failures(&self) -> &BTreeMap<Class, u64> {
        &self.failures
    }

    /// The newest failures, the oldest first.
    pub fn newest_failures(&self) -> impl DoubleEndedIterator<Item = &Failure> {
        self.newest.iter()
    }

    /// The newest result.
    pub fn last(&self) -> Option<&Result<ProbeOutcome, Failure>> {
        self.last.as_ref()
    }

    /// Durations of answers.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Who answered.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Answers by load balancer.
    pub fn balancers(&self) -> &BTreeMap<String, u64> {
        &self.balancers
    }

    /// Outages and disturbances.
    pub fn outages(&self) -> &Outages {
        &self.outages
    }

    /// Answers and failures of the run.
    pub fn tally(&self) -> Tally {
        Tally { answers: self.servers.run().clone(), failures: self.failures.clone() }
    }
}

impl Tally {
    /// Requests in all.
    pub fn sent(&self) -> u64 {
        self.answered() + self.failed()
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Requests that were not.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Who answered.
    pub fn who(&self) -> Vec<&str> {
        self.answers.keys().map(String::as_str).collect()
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.answers {
            *self.answers.entry(name.clone()).or_default() += count;
        }
        for (class, count) in &other.failures {
            *self.failures.entry(*class).or_default() += count;
        }
    }

    /// What was added since an earlier tally of the same run.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            answers: rest(&self.answers, &earlier.answers),
            failures: rest(&self.failures, &earlier.failures),
        }
    }
}

fn rest<K: Ord + Clone>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let more = |(key, count): (&K, &u64)| (key.clone(), count - before.get(key).unwrap_or(&0).min(count));
    now.iter().map(more).filter(|(_, count)| *count > 0).collect()
}

/// One exchange as it would have come of a request.
#[cfg(test)]
pub(crate) fn exchange(code: maglev_engine::outcome::ProbeCode, detail: &str, server: &str) -> Exchange {
    let outcome = ProbeOutcome {
        code,
        detail: detail.into(),
        duration: std::time::Duration::from_millis(2),
        asked: None,
    };
    Exchange { outcome, server: Some(server.to_owned()), balancer: None }
}

#[cfg(test)]
mod tests {
    use maglev_engine::outcome::ProbeCode;

    use super::*;

    #[test]
    fn failures_of_this_machine_say_nothing_of_the_vip() {
        let start = tokio::time::Instant::now().into_std();
        let mut stats = Stats::default();
        stats.add(exchange(ProbeCode::L7Ok, "HTTP 200", "web1"), start, start);
        stats.add(exchange(ProbeCode::SockErr, "no socket", ""), start, start);
        stats.add(exchange(ProbeCode::L7Sts, "HTTP 503\x1b[2J", ""), start, start);
        assert_eq!((stats.sent(), stats.failed(), stats.answered()), (2, 1, 1));
        assert_eq!(stats.failures()[&Class::Local], 1);
        assert_eq!(stats.outages().count(), 1);
        let last = stats.newest_failures().next_back().unwrap();
        assert_eq!((last.class, last.words.as_str()), (Class::Status, "L7STS: HTTP 503\\u{1b}[2J"));
        let before = stats.tally();
        stats.add(exchange(ProbeCode::L7Ok, "HTTP 200", "web2"), start, start);
        let since = stats.tally().since(&before);
        assert_eq!((since.who(), since.sent()), (vec!["web2"], 1));
        stats.reset(start);
        assert_eq!((stats.sent(), stats.tally()), (0, Tally::default()));
    }

    #[test]
    fn kept_failures_are_bounded() {
        let start = tokio::time::Instant::now().into_std();
        let mut stats = Stats::default();
        for _ in 0..1000 {
            stats.add(exchange(ProbeCode::L7Rsp, &"x".repeat(5000), ""), start, start);
        }
        assert_eq!((stats.newest_failures().count(), stats.failed()), (FAILURES, 1000));
        assert!(stats.newest_failures().all(|failure| failure.words.chars().count() <= LONGEST));
    }
}
