//! Probing of all backends by each of their checks: one timer for all of them, and a task for each probe in progress.
//!
//! A backend that waits for its next probe costs an entry in a heap, and no task, timer or buffer. A probe in
//! progress may be cancelled at any point: it owns nothing but a socket.

mod on_demand;
mod tunnel;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maglev_daemon::vital::vital;
use maglev_engine::outcome::{ProbeOutcome, Report};
use maglev_engine::schedule::{self, Intervals, Pace};
use maglev_probe::{Checker, KeptConnection};
use slab::Slab;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

pub use on_demand::OnDemand;
pub use tunnel::ThroughTunnel;

use crate::activity::Activity;
use crate::agent::EchoSender;

/// A repeatable probe.
pub trait Probe: Send + Sync + 'static {
    /// One probe, which begins when it is first polled, and ends within its timeout.
    fn probe(&self) -> impl Future<Output = ProbeOutcome> + Send + 'static;

    /// Gives up what it holds between probes, of which there are none for some time.
    fn rest(&self) {}
}

/// A check of one backend.
#[derive(Debug)]
pub struct Checked {
    checker: Arc<Checker<EchoSender>>,
    /// The backend's address.
    target: IpAddr,
    way: Way,
}

/// How a backend is probed.
#[derive(Debug, Clone)]
enum Way {
    /// At its address.
    Direct,
    /// The same, over one connection.
    Kept(KeptConnection),
    /// At its VIPs.
    Tunnel(Arc<ThroughTunnel>),
}

impl Checked {
    /// A check of this address.
    pub fn new(checker: Arc<Checker<EchoSender>>, target: IpAddr) -> Self {
        let way = checker.kept_connection().map_or(Way::Direct, Way::Kept);
        Self { checker, target, way }
    }

    /// A check of VIPs, through the tunnel to this address.
    pub fn through(checker: Arc<Checker<EchoSender>>, target: IpAddr, tunnel: ThroughTunnel) -> Self {
        Self { checker, target, way: Way::Tunnel(Arc::new(tunnel)) }
    }
}

impl Probe for Checked {
    fn probe(&self) -> impl Future<Output = ProbeOutcome> + Send + 'static {
        let (checker, target, way) = (Arc::clone(&self.checker), self.target, self.way.clone());
        async move {
            match way {
                Way::Direct => checker.probe(target).await,
                Way::Kept(connection) => checker.probe_over(target, &connection).await,
                // In memory of its own, which other probes do not take.
                Way::Tunnel(tunnel) => Box::pin(async move { tunnel.probe(&checker, target).await }).await,
            }
        }
    }

    fn rest(&self) {
        if let Way::Kept(connection) = &self.way {
            connection.close();
        }
    }
}

/// Starts the probes of all backends when they are due. Probing ends when this is dropped.
#[derive(Debug)]
pub struct Scheduler<P> {
    shared: Arc<Shared<P>>,
    task: AbortHandle,
}

/// Handle of the probing of a backend by one check. Dropping it ends the probing.
#[derive(Debug)]
pub struct Prober<P> {
    shared: Arc<Shared<P>>,
    index: usize,
}

#[derive(Debug)]
struct Shared<P> {
    timetable: Mutex<Timetable<P>>,
    /// Notified when a probe is due before the scheduler wakes up.
    earlier: Notify,
    reports: mpsc::Sender<Report>,
    activity: Activity,
}

#[derive(Debug)]
struct Timetable<P> {
    backends: Slab<Backend<P>>,
    /// Due times. An entry counts only if its turn is the backend's.
    due: BinaryHeap<Reverse<Entry>>,
    /// Number of turns so far.
    turns: u64,
    /// When the scheduler wakes up; `None`: when it is notified.
    wakes_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    due: Instant,
    turn: u64,
    index: usize,
}

#[derive(Debug)]
struct Backend<P> {
    name: Arc<str>,
    /// Index of the check among the backend's.
    check: usize,
    probe: P,
    /// Shared by the backends of a check.
    intervals: Arc<Intervals>,
    pace: Pace,
    /// When its first probe is due.
    first: Instant,
    last_start: Option<Instant>,
    /// Its latest entry in the timetable, or probe.
    turn: u64,
    /// The probe in progress.
    running: Option<AbortHandle>,
}

impl<P: Probe> Scheduler<P> {
    /// Starts without backends. The queue of reports is bounded: when its reader falls behind, probes wait for it, and
    /// none is lost.
    pub fn start(reports: mpsc::Sender<Report>, activity: Activity) -> Self {
        let timetable = Timetable { backends: Slab::new(), due: BinaryHeap::new(), turns: 0, wakes_at: None };
        let shared =
            Arc::new(Shared { timetable: Mutex::new(timetable), earlier: Notify::new(), reports, activity });
        let task = tokio::spawn(vital("the probe scheduler", run(Arc::clone(&shared)))).abort_handle();
        Self { shared, task }
    }

    /// Adds a check of a backend, by its index, with its first probe after `first_delay`.
    pub fn add(
        &self,
        (name, check): (Arc<str>, usize),
        probe: P,
        intervals: impl Into<Arc<Intervals>>,
        pace: Pace,
        first_delay: Duration,
    ) -> Prober<P> {
        let (first, intervals) = (Instant::now() + first_delay, intervals.into());
        let backend =
            Backend { name, check, probe, intervals, pace, first, last_start: None, turn: 0, running: None };
        let mut timetable = self.shared.timetable();
        let index = timetable.backends.insert(backend);
        self.shared.plan(timetable, index);
        Prober { shared: Arc::clone(&self.shared), index }
    }
}

impl<P> Drop for Scheduler<P> {
    fn drop(&mut self) {
        self.task.abort();
        let timetable = self.shared.timetable();
        timetable
            .backends
            .iter()
            .filter_map(|(_, backend)| backend.running.as_ref())
            .for_each(AbortHandle::abort);
    }
}

impl<P: Probe> Prober<P> {
    /// Sets the probing interval, which counts from the last start. [`Pace::Stopped`] cancels a probe in progress, without
    /// a report.
    pub fn set_pace(&self, pace: Pace) {
        let mut timetable = self.shared.timetable();
        let Some(backend) = timetable.backends.get_mut(self.index).filter(|backend| backend.pace != pace)
        else {
            return;
        };
        backend.pace = pace;
        if pace == Pace::Stopped {
            backend.probe.rest();
        }
        match (pace, &backend.running) {
            // The next probe is planned when this one ends.
            (Pace::Normal | Pace::Fast | Pace::Down, Some(_)) => return,
            (Pace::Stopped, Some(running)) => running.abort(),
            (_, None) => {}
        }
        backend.running = None;
        self.shared.plan(timetable, self.index);
    }
}

impl<P> Drop for Prober<P> {
    fn drop(&mut self) {
        let removed = self.shared.timetable().backends.try_remove(self.index);
        if let Some(running) = removed.and_then(|backend| backend.running) {
            running.abort();
        }
    }
}

impl<P> Shared<P> {
    fn timetable(&self) -> MutexGuard<'_, Timetable<P>> {
        self.timetable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a backend's next probe, if there is to be one.
    fn plan(&self, mut timetable: MutexGuard<'_, Timetable<P>>, index: usize) {
        let (now, turn) = (Instant::now().into_std(), timetable.next_turn());
        let Timetable { backends, due: heap, wakes_at, .. } = &mut *timetable;
        let Some(backend) = backends.get_mut(index) else { return };
        backend.turn = turn;
        let Some(interval) = backend.intervals.at(backend.pace) else { return };
        let due = match backend.last_start {
            Some(last) => schedule::next_start(last.into_std(), now, interval, fastrand::f64()).into(),
            None => backend.first,
        };
        heap.push(Reverse(Entry { due, turn, index }));
        // Intervals that change often must not fill it with entries that no longer count.
        if heap.len() > 2 * backends.len() + 64 {
            let counts = |entry: &Entry| backends.get(entry.index).is_some_and(|it| it.turn == entry.turn);
            heap.retain(|Reverse(entry)| counts(entry));
        }
        if wakes_at.is_none_or(|at| due < at) {
            *wakes_at = Some(due);
            drop(timetable);
            self.earlier.notify_one();
        }
    }
}

impl<P> Timetable<P> {
    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Takes out an entry that is due.
    fn take_due(&mut self, now: Instant) -> Option<Entry> {
        self.due.peek().filter(|Reverse(entry)| entry.due <= now)?;
        self.due.pop().map(|Reverse(entry)| entry)
    }
}

async fn run<P: Probe>(shared: Arc<Shared<P>>) {
    let timer = sleep_until(Instant::now());
    tokio::pin!(timer);
    loop {
        let next = start_due(&shared);
        if let Some(next) = next {
            timer.as_mut().reset(next);
        }
        tokio::select! {
            () = timer.as_mut(), if next.is_some() => {}
            () = shared.earlier.notified() => {}
        }
    }
}

/// Starts the probes that are due; returns when the next one is.
fn start_due<P: Probe>(shared: &Arc<Shared<P>>) -> Option<Instant> {
    let now = Instant::now();
    let mut timetable = shared.timetable();
    while let Some(entry) = timetable.take_due(now) {
        let turn = timetable.next_turn();
        let Some(backend) =
            timetable.backends.get_mut(entry.index).filter(|backend| backend.turn == entry.turn)
        else {
            continue;
        };
        (backend.turn, backend.last_start) = (turn, Some(now));
        let entry = Entry { turn, ..entry };
        let of = (Arc::clone(&backend.name), backend.check);
        let probe = probe(Arc::clone(shared), entry, of, backend.probe.probe());
        backend.running = Some(tokio::spawn(vital("a probe", probe)).abort_handle());
    }
    timetable.wakes_at = timetable.due.peek().map(|Reverse(entry)| entry.due);
    timetable.wakes_at
}

/// One probe, its report, and the plan for the next.
async fn probe<P>(
    shared: Arc<Shared<P>>,
    Entry { due, turn, index }: Entry,
    (backend, check): (Arc<str>, usize),
    probe: impl Future<Output = ProbeOutcome>,
) {
    shared.activity.probe_started(&backend, check);
    let late = Instant::now().saturating_duration_since(due);
    let outcome = probe.await;
    let report = Report { backend, check, outcome, late, ended: Instant::now().into_std() };
    if shared.reports.send(report).await.is_err() {
        return;
    }
    let mut timetable = shared.timetable();
    if let Some(backend) = timetable.backends.get_mut(index).filter(|backend| backend.turn == turn) {
        backend.running = None;
        shared.plan(timetable, index);
    }
}

#[cfg(test)]
mod tests;
