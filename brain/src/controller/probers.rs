//! The running probers, one for each check of each backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::config::HealthCheck;
use maglev_engine::core::{Checked as Wish, Core};
use maglev_engine::outcome::Report;
use maglev_engine::schedule::{Intervals, Pace};
use maglev_probe::Checker;
use tokio::sync::mpsc;

use crate::activity::Activity;
use crate::agent::EchoSender;
use crate::prober::{Checked, Prober, Scheduler};

#[derive(Debug)]
struct Check {
    check: HealthCheck,
    checker: Arc<Checker<EchoSender>>,
    intervals: Intervals,
}

/// All probers. Dropping this ends them.
#[derive(Debug)]
pub(super) struct Probers {
    echoes: EchoSender,
    scheduler: Scheduler<Checked>,
    /// By the names of the checks, which backends share.
    checks: BTreeMap<String, Check>,
    /// By backend, and by the check's index.
    probers: BTreeMap<(Arc<str>, usize), Prober<Checked>>,
}

impl Probers {
    pub(super) fn new(echoes: EchoSender, reports: mpsc::Sender<Report>, activity: Activity) -> Self {
        let scheduler = Scheduler::start(reports, activity);
        Self { echoes, scheduler, checks: BTreeMap::new(), probers: BTreeMap::new() }
    }

    /// Starts, restarts or stops the probers of these backends, by the core's state. First probes are spread
    /// over at most `spread`.
    pub(super) fn renew<'a>(
        &mut self,
        core: &Core,
        backends: impl ExactSizeIterator<Item = &'a Arc<str>>,
        spread: Duration,
    ) {
        let configured = &core.config().healthchecks;
        self.checks.retain(|name, known| configured.get(name).is_some_and(|check| *check == known.check));
        let count = backends.len();
        for (rank, name) in backends.enumerate() {
            self.stop(name);
            for wish in core.checks(name) {
                self.start(core, name, wish, (rank, count), spread);
            }
        }
    }

    /// Stops all probers of a backend.
    fn stop(&mut self, name: &Arc<str>) {
        let running = (0..).map(|index| (Arc::clone(name), index));
        running.map_while(|key| self.probers.remove(&key)).for_each(drop);
    }

    fn start(
        &mut self,
        core: &Core,
        name: &Arc<str>,
        wish: Wish<'_>,
        place: (usize, usize),
        spread: Duration,
    ) {
        let Some(check) = core.config().healthchecks.get(wish.check) else { return };
        let known = self.checks.entry(wish.check.to_owned()).or_insert_with(|| Check {
            check: check.clone(),
            checker: Arc::new(Checker::new(check.clone(), self.echoes.clone())),
            intervals: Intervals::of(check),
        });
        let probe = Checked::new(Arc::clone(&known.checker), wish.target);
        let delay = known.intervals.first_delay(spread, place.0, place.1, fastrand::f64());
        let key = (Arc::clone(name), wish.index);
        let prober = self.scheduler.add(key.clone(), probe, known.intervals, wish.pace, delay);
        self.probers.insert(key, prober);
    }

    /// Changes the probing interval of a backend's check.
    pub(super) fn set_pace(&self, check: &(Arc<str>, usize), pace: Pace) {
        if let Some(prober) = self.probers.get(check) {
            prober.set_pace(pace);
        }
    }
}
