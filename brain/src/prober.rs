//! Probing of all backends by each of their checks: one timer for all of them, and a task for each probe in progress,
//! which then makes the next one that is due.
//!
//! A backend that waits for its next probe costs an entry in an agenda, and no task, timer or buffer. A probe in
//! progress may be cancelled at any point: it owns nothing but a socket.

mod agenda;
mod on_demand;
mod tunnel;

use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use maglev_daemon::vital::{sentinel, vital};
use maglev_engine::outcome::{LastProbe, ProbeOutcome, Report};
use maglev_engine::schedule::{self, Intervals, Pace};
use maglev_engine::tally::ProbeTally;
use maglev_probe::{Checker, KeptConnection};
use slab::Slab;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

pub use on_demand::OnDemand;
pub use tunnel::ThroughTunnel;

use crate::activity::Activity;
use crate::agent::EchoSender;
use agenda::{Agenda, Entry};

/// Maximum number of tasks kept for later probes, of a few kilobytes each: a thousand probes a second on a fast network
/// need some ten.
const MOST_IDLE: usize = 256;

/// A repeatable probe. Clones are the same probe.
pub trait Probe: Clone + Send + Sync + 'static {
    /// One probe, which begins when it is first polled, and ends within its timeout.
    fn probe(&self) -> impl Future<Output = ProbeOutcome> + Send + 'static;

    /// Gives up what it holds between probes, of which there are none for some time.
    fn rest(&self) {}
}

/// A check of one backend.
#[derive(Debug, Clone)]
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

/// What is probed, and with what.
#[derive(Debug)]
pub struct Subject<P> {
    /// Name of the backend.
    pub backend: Arc<str>,
    /// Index of the check among the backend's.
    pub check: usize,
    /// Makes the probes.
    pub probe: P,
    /// Counts them.
    pub tally: Arc<ProbeTally>,
}

#[derive(Debug)]
struct Shared<P> {
    timetable: Mutex<Timetable<P>>,
    /// Notified when a probe is due before the scheduler wakes up.
    earlier: Notify,
    /// Wakes one worker for each probe that is ready.
    work: Notify,
    reports: mpsc::Sender<Report>,
    activity: Activity,
}

#[derive(Debug)]
struct Timetable<P> {
    backends: Slab<Backend<P>>,
    due: Agenda,
    /// Number of turns so far.
    turns: u64,
    /// When the scheduler wakes up; `None`: when it is notified.
    wakes_at: Option<Instant>,
    /// Probes that are due, each with its time, until a worker takes them.
    ready: VecDeque<(Instant, Entry)>,
    workers: Slab<AbortHandle>,
    /// Workers without a probe: at least as many as there are probes ready.
    idle: usize,
}

#[derive(Debug)]
struct Backend<P> {
    subject: Subject<P>,
    /// Shared by the backends of a check.
    intervals: Arc<Intervals>,
    pace: Pace,
    /// Start of its last probe; before that, when the first one is due.
    start: Start,
    /// Its latest entry in the timetable, or probe.
    turn: u64,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum Start {
    First(Instant),
    Last(Instant),
}

/// How far a backend's next probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It is not due yet.
    Planned,
    /// It waits for a worker.
    Ready,
    /// This worker makes it.
    Running(usize),
}

impl<P: Probe> Scheduler<P> {
    /// Starts without backends. A probe that changes nothing but its tally is not reported. The queue of reports is
    /// bounded: when its reader falls behind, probes wait for it, and none is lost.
    pub fn start(reports: mpsc::Sender<Report>, activity: Activity) -> Self {
        let timetable = Timetable {
            backends: Slab::new(),
            due: Agenda::new(Instant::now()),
            turns: 0,
            wakes_at: None,
            ready: VecDeque::new(),
            workers: Slab::new(),
            idle: 0,
        };
        let (timetable, earlier, work) = (Mutex::new(timetable), Notify::new(), Notify::new());
        let shared = Arc::new(Shared { timetable, earlier, work, reports, activity });
        let task = tokio::spawn(vital("the probe scheduler", run(Arc::clone(&shared)))).abort_handle();
        Self { shared, task }
    }

    /// Makes room for so many more checks of backends.
    pub fn reserve(&self, more: usize) {
        self.shared.timetable().backends.reserve_exact(more);
    }

    /// Adds a check of a backend, with its first probe after `first_delay`.
    pub fn add(
        &self,
        subject: Subject<P>,
        intervals: impl Into<Arc<Intervals>>,
        pace: Pace,
        first_delay: Duration,
    ) -> Prober<P> {
        let (start, progress) = (Start::First(Instant::now() + first_delay), Progress::Planned);
        let backend = Backend { subject, intervals: intervals.into(), pace, start, turn: 0, progress };
        let mut timetable = self.shared.timetable();
        let index = timetable.backends.insert(backend);
        self.shared.plan(timetable, index);
        Prober { shared: Arc::clone(&self.shared), index }
    }
}

impl<P> Drop for Scheduler<P> {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.timetable().workers.drain().for_each(|worker| worker.abort());
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
            backend.subject.probe.rest();
        } else if backend.progress != Progress::Planned {
            // The next probe is planned when this one ends.
            return;
        }
        let given_up = mem::replace(&mut backend.progress, Progress::Planned);
        timetable.give_up(given_up);
        self.shared.plan(timetable, self.index);
    }
}

impl<P> Drop for Prober<P> {
    fn drop(&mut self) {
        let mut timetable = self.shared.timetable();
        if let Some(removed) = timetable.backends.try_remove(self.index) {
            timetable.give_up(removed.progress);
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
        let Timetable { backends, due: agenda, wakes_at, .. } = &mut *timetable;
        let Some(backend) = backends.get_mut(index) else { return };
        backend.turn = turn;
        let Some(interval) = backend.intervals.at(backend.pace) else { return };
        let due = match backend.start {
            Start::First(due) => due,
            Start::Last(last) => schedule::next_start(last.into_std(), now, interval, fastrand::f64()).into(),
        };
        let due = agenda.enter(due, Entry { index, turn });
        // Intervals that change often must not fill it with entries that no longer count.
        if agenda.len() > 2 * backends.len() + 64 {
            agenda.retain(|entry| backends.get(entry.index).is_some_and(|it| it.turn == entry.turn));
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

    /// The backend of an entry, if it is still its turn.
    fn at_turn(&mut self, entry: Entry) -> Option<&mut Backend<P>> {
        self.backends.get_mut(entry.index).filter(|backend| backend.turn == entry.turn)
    }

    /// Gives up a backend's probe, whose turn must end with it. After the scheduler, there is no worker any more.
    fn give_up(&mut self, progress: Progress) {
        if let Progress::Running(worker) = progress
            && let Some(worker) = self.workers.try_remove(worker)
        {
            worker.abort();
        }
    }
}

impl<P: Probe> Timetable<P> {
    /// The next probe for this worker.
    fn take_ready(&mut self, worker: usize) -> Option<(Instant, Entry, P)> {
        while let Some((due, entry)) = self.ready.pop_front() {
            if let Some(backend) = self.at_turn(entry) {
                backend.progress = Progress::Running(worker);
                let probe = backend.subject.probe.clone();
                self.idle -= 1;
                return Some((due, entry, probe));
            }
        }
        None
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

/// Calls a worker for each probe that is due; returns when the next one is.
fn start_due<P: Probe>(shared: &Arc<Shared<P>>) -> Option<Instant> {
    let now = Instant::now();
    let mut timetable = shared.timetable();
    while let Some((due, entries)) = timetable.due.take(now) {
        for entry in entries {
            let turn = timetable.next_turn();
            let Some(backend) = timetable.at_turn(entry) else { continue };
            (backend.turn, backend.start, backend.progress) = (turn, Start::Last(now), Progress::Ready);
            timetable.ready.push_back((due, Entry { turn, ..entry }));
            if timetable.idle >= timetable.ready.len() {
                // The one that was at work last: what it needs is in the processor's caches.
                shared.work.notify_last();
            } else {
                timetable.idle += 1;
                let place = timetable.workers.vacant_entry();
                let worker = work(Arc::clone(shared), place.key());
                place.insert(tokio::spawn(worker).abort_handle());
            }
        }
    }
    timetable.wakes_at = timetable.due.next();
    timetable.wakes_at
}

/// Makes one probe after the other. It is aborted with a probe that is given up.
async fn work<P: Probe>(shared: Arc<Shared<P>>, worker: usize) {
    let _sentinel = sentinel("a probe");
    loop {
        let ready = shared.timetable().take_ready(worker);
        let Some((due, entry, probe)) = ready else {
            shared.work.notified().await;
            continue;
        };
        shared.tell_start(entry);
        let late = Instant::now().saturating_duration_since(due);
        let outcome = probe.probe().await;
        let probed = LastProbe { outcome, at: SystemTime::now(), ended: Instant::now().into_std(), late };
        if let Some(report) = shared.take(entry, probed)
            && shared.reports.send(report).await.is_err()
        {
            return;
        }
        let mut timetable = shared.timetable();
        let is_superfluous = timetable.idle >= timetable.ready.len() + MOST_IDLE;
        // Otherwise this probe was given up, and the worker with it.
        let Some(backend) = timetable.at_turn(entry) else { return };
        backend.progress = Progress::Planned;
        if is_superfluous {
            timetable.workers.try_remove(worker);
        } else {
            timetable.idle += 1;
        }
        shared.plan(timetable, entry.index);
        if is_superfluous {
            return;
        }
    }
}

impl<P> Shared<P> {
    fn tell_start(&self, entry: Entry) {
        if self.activity.is_watched()
            && let Some(Backend { subject, .. }) = self.timetable().at_turn(entry)
        {
            self.activity.probe_started(&subject.backend, subject.check);
        }
    }

    /// Counts a probe, if that is all there is to do; otherwise returns the report that decides on it.
    fn take(&self, entry: Entry, probed: LastProbe) -> Option<Report> {
        let mut timetable = self.timetable();
        let Subject { backend, check, tally, .. } = &timetable.at_turn(entry)?.subject;
        match tally.take_repeated(probed) {
            Ok(()) => {
                self.activity.probe_ended(backend, *check, || tally.last_probe().map(|probe| probe.outcome));
                None
            }
            Err(LastProbe { outcome, ended, late, .. }) => {
                Some(Report { backend: Arc::clone(backend), check: *check, outcome, late, ended })
            }
        }
    }
}

#[cfg(test)]
mod tests;
