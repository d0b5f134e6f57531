//! The state of a test at one moment, as JSON has it. Times of day are RFC 3339, durations milliseconds, shares 0 to 1.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::brain::Link;
use crate::class::Class;
use crate::flows::{Fate, FlowBook};
use crate::latency::Percentiles;
use crate::locked;
use crate::outage::Outage;
use crate::run::{Tester, Vip};
use crate::servers::{ServerShare, part};
use crate::stats::Stats;

/// A test at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The moment.
    pub at: String,
    /// When the run began.
    pub started: String,
    /// Time since then, in seconds.
    pub elapsed: f64,
    /// Why the brain says nothing; `None` if it does, or none was named.
    pub brain_error: Option<String>,
    /// Every VIP, in the order in which they were given.
    pub vips: Vec<VipSnapshot>,
}

/// One VIP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VipSnapshot {
    /// Its name.
    pub vip: String,
    /// Address and port.
    pub address: String,
    /// `tcp`, `tls`, `udp`, `http` or `https`.
    pub request: &'static str,
    /// By the newest request.
    pub state: VipState,
    /// Requests that reached the network.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// Part that was answered; `None` before the first request.
    pub success: Option<f64>,
    /// Code and words of the newest request.
    pub last: Option<String>,
    /// Durations of the last hundred answers.
    pub last_hundred: Percentiles,
    /// Durations of all answers, within 1 %.
    pub run: Percentiles,
    /// Failures by class.
    pub failures: BTreeMap<Class, u64>,
    /// The newest failures, the newest first.
    pub newest_failures: Vec<FailureSnapshot>,
    /// Every server that answered or should.
    pub servers: Vec<ServerShare>,
    /// Probability that the difference from the expected shares is chance.
    pub chance: Option<f64>,
    /// Largest difference of a server's share from the expected one.
    pub worst_difference: Option<f64>,
    /// Answers by load balancer.
    pub balancers: BTreeMap<String, u64>,
    /// Outages, in each of which every request failed.
    pub outages: OutagesSnapshot,
    /// Long-lived flows, if there are any.
    pub flows: Option<FlowsSnapshot>,
}

/// State of a VIP as its clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VipState {
    /// The newest request failed.
    Failing,
    /// Nothing has come of a request yet.
    Unknown,
    /// The newest request was answered.
    Up,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureSnapshot {
    /// When it started.
    pub at: String,
    /// Its class.
    pub class: Class,
    /// Code and words.
    pub words: String,
}

/// Outages of a VIP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutagesSnapshot {
    /// How many.
    pub count: u64,
    /// Length of all together.
    pub total_ms: u64,
    /// The one that goes on.
    pub current: Option<OutageSnapshot>,
    /// The longest.
    pub longest: Option<OutageSnapshot>,
    /// Longest time in which requests failed without five seconds of peace, although others were answered.
    pub longest_disturbance: Option<OutageSnapshot>,
    /// The newest that are over, the newest first.
    pub newest: Vec<OutageSnapshot>,
}

/// One outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutageSnapshot {
    /// Start of the first request that failed.
    pub since: String,
    /// From there to the start of the next request that was answered, or to now.
    pub ms: u64,
    /// Requests that failed in it.
    pub failed: u64,
}

/// Long-lived flows of a VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowsSnapshot {
    /// How many there should be.
    pub wanted: u32,
    /// How many are open.
    pub open: usize,
    /// How often a flow was used and answered.
    pub exchanged: u64,
    /// How many broke.
    pub broke: u64,
    /// How many moved to another server.
    pub moved: u64,
    /// How many got no answer in time.
    pub stalled: u64,
    /// Open flows by server.
    pub servers: BTreeMap<String, u64>,
    /// The newest events, the newest first.
    pub events: Vec<FlowEventSnapshot>,
}

/// What happened to a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowEventSnapshot {
    /// When.
    pub at: String,
    /// Number of the flow.
    pub flow: u32,
    /// `broke`, `moved` or `stalled`.
    pub event: &'static str,
    /// The reason, or both servers.
    pub words: String,
}

/// Times of day of moments in a run.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    fn text(&self, at: Instant) -> String {
        let ago = self.now.saturating_duration_since(at);
        humantime::format_rfc3339_millis(self.wall.checked_sub(ago).unwrap_or(self.wall)).to_string()
    }

    fn outage(&self, outage: Outage) -> OutageSnapshot {
        OutageSnapshot {
            since: self.text(outage.since),
            ms: milliseconds(outage.length(self.now)),
            failed: outage.failed,
        }
    }
}

impl Snapshot {
    /// The state now. `wall` is the time of day. At most `detail` failures, outages and events are listed of each VIP.
    pub fn take(tester: &Tester, link: &Link, now: Instant, wall: SystemTime, detail: usize) -> Self {
        let clock = Clock { now, wall };
        let (started, _) = tester.started();
        let vips = tester.vips().iter().map(|vip| VipSnapshot::take(vip, tester.flows(), clock, detail));
        Self {
            at: clock.text(now),
            started: clock.text(started),
            elapsed: now.saturating_duration_since(started).as_secs_f64(),
            brain_error: match link {
                Link::Lost(reason) => Some(reason.clone()),
                Link::None | Link::Connected => None,
            },
            vips: vips.collect(),
        }
    }
}

impl VipSnapshot {
    fn take(vip: &Vip, flows: u32, clock: Clock, detail: usize) -> Self {
        let stats = locked(&vip.stats).clone();
        let last = stats.last();
        Self {
            vip: vip.target.name.clone(),
            address: vip.target.vip.to_string(),
            request: vip.target.request.word(),
            state: match last {
                None => VipState::Unknown,
                Some(Err(failure)) if failure.class == Class::Local => VipState::Unknown,
                Some(Err(_)) => VipState::Failing,
                Some(Ok(_)) => VipState::Up,
            },
            sent: stats.sent(),
            failed: stats.failed(),
            success: (stats.sent() > 0).then(|| part(stats.answered(), stats.sent())),
            last: last.map(|last| match last {
                Ok(outcome) => outcome.to_string(),
                Err(failure) => failure.words.clone(),
            }),
            last_hundred: stats.latency().of_window(),
            run: stats.latency().of_run(),
            failures: stats.failures().clone(),
            newest_failures: failures(&stats, clock, detail),
            servers: stats.servers().shares(clock.now),
            chance: stats.servers().chance(),
            worst_difference: stats.servers().worst_difference(clock.now),
            balancers: stats.balancers().clone(),
            outages: outages(&stats, clock, detail),
            flows: (flows > 0).then(|| self::flows(&locked(&vip.flows), flows, clock, detail)),
        }
    }
}

fn failures(stats: &Stats, clock: Clock, detail: usize) -> Vec<FailureSnapshot> {
    let newest = stats.newest_failures().rev().take(detail);
    let shown = newest.map(|failure| FailureSnapshot {
        at: clock.text(failure.at),
        class: failure.class,
        words: failure.words.clone(),
    });
    shown.collect()
}

fn outages(stats: &Stats, clock: Clock, detail: usize) -> OutagesSnapshot {
    let outages = stats.outages();
    let mut newest: Vec<_> = outages.ended().map(|outage| clock.outage(*outage)).collect();
    newest.reverse();
    newest.truncate(detail);
    OutagesSnapshot {
        count: outages.count(),
        total_ms: milliseconds(outages.total(clock.now)),
        current: outages.current().map(|outage| clock.outage(outage)),
        longest: outages.longest(clock.now).map(|outage| clock.outage(outage)),
        longest_disturbance: outages.longest_disturbance(clock.now).map(|outage| clock.outage(outage)),
        newest,
    }
}

fn flows(book: &FlowBook, wanted: u32, clock: Clock, detail: usize) -> FlowsSnapshot {
    let events = book.events().rev().take(detail).map(|event| FlowEventSnapshot {
        at: clock.text(event.at),
        flow: event.flow,
        event: event.fate.word(),
        words: event.words.clone(),
    });
    FlowsSnapshot {
        wanted,
        open: book.open(),
        exchanged: book.exchanged(),
        broke: book.count(Fate::Broke),
        moved: book.count(Fate::Moved),
        stalled: book.count(Fate::Stalled),
        servers: book.by_server().into_iter().map(|(server, flows)| (server.to_owned(), flows)).collect(),
        events: events.collect(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod samples;
