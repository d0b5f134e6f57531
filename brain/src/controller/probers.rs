//! The running probers, one for each check of each backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::config::{HealthCheck, Via};
use maglev_engine::core::{Checked as Wish, Core};
use maglev_engine::outcome::Report;
use maglev_engine::schedule::{Intervals, Pace};
use maglev_probe::Checker;
use maglev_protocol::TunnelTarget;
use tokio::sync::mpsc;

use crate::activity::Activity;
use crate::agent::{EchoSender, Tunnels};
use crate::prober::{Checked, Prober, Scheduler, Subject, ThroughTunnel};

#[derive(Debug)]
struct Check {
    check: HealthCheck,
    checker: Arc<Checker<EchoSender>>,
    intervals: Arc<Intervals>,
}

/// All probers. Dropping this ends them.
#[derive(Debug)]
pub(super) struct Probers {
    echoes: EchoSender,
    tunnels: Tunnels,
    /// Of the backends with checks through the tunnel.
    targets: BTreeMap<Arc<str>, Vec<TunnelTarget>>,
    scheduler: Scheduler<Checked>,
    /// By the names of the checks, which backends share.
    checks: BTreeMap<String, Check>,
    /// By backend, and by the check's index.
    probers: BTreeMap<(Arc<str>, usize), Prober<Checked>>,
}

impl Probers {
    pub(super) fn new(
        echoes: EchoSender,
        tunnels: Tunnels,
        reports: mpsc::Sender<Report>,
        activity: Activity,
    ) -> Self {
        let scheduler = Scheduler::start(reports, activity);
        Self {
            echoes,
            tunnels,
            targets: BTreeMap::new(),
            scheduler,
            checks: BTreeMap::new(),
            probers: BTreeMap::new(),
        }
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
        if self.probers.is_empty() {
            // Growing step by step would leave room for as many again.
            self.scheduler.reserve(count);
        }
        for (rank, name) in backends.enumerate() {
            self.stop(name);
            for wish in core.checks(name) {
                self.start(core, name, wish, (rank, count), spread);
            }
        }
        self.tunnels.set_targets(self.targets.values().flatten().copied().collect());
    }

    /// Stops all probers of a backend.
    fn stop(&mut self, name: &Arc<str>) {
        self.targets.remove(name);
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
            intervals: Arc::new(Intervals::of(check)),
        });
        let checker = Arc::clone(&known.checker);
        let probe = match check.via {
            Via::Direct => Checked::new(checker, wish.target),
            Via::Tunnel { size } => {
                let vips = core.tunnel_vips(name, check);
                let targets = vips.iter().map(|vip| TunnelTarget { vip: vip.ip(), server: wish.target });
                self.targets.entry(Arc::clone(name)).or_default().extend(targets);
                Checked::through(checker, wish.target, ThroughTunnel::new(self.tunnels.clone(), vips, size))
            }
        };
        let delay = known.intervals.first_delay(spread, place.0, place.1, fastrand::f64());
        let (backend, tally) = (Arc::clone(name), Arc::clone(wish.tally));
        let subject = Subject { backend, check: wish.index, probe, tally };
        let prober = self.scheduler.add(subject, Arc::clone(&known.intervals), wish.pace, delay);
        self.probers.insert((Arc::clone(name), wish.index), prober);
    }

    /// Changes the probing interval of a backend's check.
    pub(super) fn set_pace(&self, check: &(Arc<str>, usize), pace: Pace) {
        if let Some(prober) = self.probers.get(check) {
            prober.set_pace(pace);
        }
    }
}
