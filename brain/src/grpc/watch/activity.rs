//! Live activity for one watcher: probes at a bounded rate, VPP's answers, weights and syncs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_engine::snapshot::Snapshot;
use maglev_proto::{Event, WatchEventsRequest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::activity::{Action, Activity, Watched};
use crate::grpc::view::activity as view;

/// Maximum number of probe starts and ends sent per [`SECOND`].
const PROBES: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);

/// Minimum time between two comparisons of all frontends.
const PACE: Duration = Duration::from_millis(20);

/// A new snapshot, at least [`PACE`] after the last one.
async fn next_snapshot(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    earliest: Instant,
) -> Result<(), watch::error::RecvError> {
    sleep_until(earliest).await;
    snapshots.changed().await
}

/// The activity that one watcher requested.
#[derive(Debug)]
pub(super) struct Going {
    watched: Watched,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    before: Arc<Snapshot>,
    ready: VecDeque<Event>,
    probes: bool,
    weights: bool,
    writes: bool,
    told: (Instant, u32),
    compared: Instant,
}

impl Going {
    /// `None` if none was requested.
    pub(super) fn of(
        request: &WatchEventsRequest,
        activity: &Activity,
        snapshots: &watch::Receiver<Arc<Snapshot>>,
    ) -> Option<Self> {
        let WatchEventsRequest { probes, weights, vpp_writes: writes, .. } = *request;
        let mut snapshots = snapshots.clone();
        let before = Arc::clone(&snapshots.borrow_and_update());
        (probes || weights || writes).then(|| Self {
            watched: activity.watch(),
            snapshots,
            before,
            ready: VecDeque::new(),
            probes,
            weights,
            writes,
            told: (Instant::now(), 0),
            compared: Instant::now(),
        })
    }

    /// The next action; `None` once the brain shuts down. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            tokio::select! {
                action = self.watched.actions.recv() => match action {
                    Ok((at, action)) => self.take(at, &action),
                    // The missed actions are lost; the current state follows with the next ones.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                changed = next_snapshot(&mut self.snapshots, self.compared + PACE), if self.weights => {
                    changed.ok()?;
                    self.compare();
                    self.compared = Instant::now();
                }
            }
        }
    }

    fn take(&mut self, at: SystemTime, action: &Action) {
        match action {
            Action::Wrote(report) if self.writes => {
                let snapshot = Arc::clone(&self.snapshots.borrow());
                self.ready.extend(view::writes(&snapshot, report, at));
            }
            Action::ProbeStarted(backend, check) if self.has_room() => {
                let event = view::probe_started(backend, self.check_name(backend, *check).as_deref(), at);
                self.ready.push_back(event);
            }
            Action::Probed(backend, check, outcome) if self.has_room() => {
                let event = view::probed(backend, self.check_name(backend, *check).as_deref(), outcome, at);
                self.ready.push_back(event);
            }
            Action::Wrote(_) | Action::ProbeStarted(..) | Action::Probed(..) => {}
        }
    }

    /// The name of a backend's check, if it has several.
    fn check_name(&self, backend: &str, check: u8) -> Option<Arc<str>> {
        let snapshot = self.snapshots.borrow();
        snapshot.backends.get(backend)?.checks.get(usize::from(check))?.name.clone()
    }

    /// Whether another probe may be sent in this second.
    fn has_room(&mut self) -> bool {
        let now = Instant::now();
        if now.saturating_duration_since(self.told.0) >= SECOND {
            self.told = (now, 0);
        }
        self.told.1 += 1;
        self.probes && self.told.1 <= PROBES
    }

    /// Finds the frontends whose weights or syncs changed. Unchanged ones share their values, so comparing is
    /// cheap.
    fn compare(&mut self) {
        let now = Arc::clone(&self.snapshots.borrow_and_update());
        let before = std::mem::replace(&mut self.before, Arc::clone(&now));
        if before.frontends.ptr_eq(&now.frontends) {
            return;
        }
        let (at, mut known) = (SystemTime::now(), before.frontends.iter().peekable());
        for (name, view) in &now.frontends {
            while known.next_if(|(before, _)| *before < name).is_some() {}
            let before = known.next_if(|(before, _)| *before == name).map(|(_, before)| before);
            let is_same = before.is_some_and(|before| {
                Arc::ptr_eq(before, view) || (before.weights == view.weights && before.sync == view.sync)
            });
            if let Some(configured) = now.config.frontends.get(&**name).filter(|_| !is_same) {
                self.ready.push_back(view::weights(&now, name, configured, view, at));
            }
        }
    }
}
