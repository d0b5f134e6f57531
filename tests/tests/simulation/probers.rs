//! The brain's probers: which probe starts when, and what it finds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::core::Input;
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::schedule::{self, Intervals, Pace};

use crate::vpp::Life;
use crate::world::{Event, World};

/// A backend, and the index of one of its checks.
pub(crate) type Key = (Arc<str>, usize);

#[derive(Debug)]
pub(crate) struct Prober {
    id: u64,
    intervals: Intervals,
    timeout: Duration,
    pace: Pace,
    first: Duration,
    last_start: Option<Duration>,
    /// Changes with each thing that it waits for.
    token: u64,
    probing: bool,
}

impl World {
    pub(crate) fn renew(&mut self, names: &[Arc<str>], spread: Duration) {
        for (rank, name) in names.iter().enumerate() {
            let Some(brain) = &mut self.brain else { return };
            brain.probers.retain(|(backend, _), _| backend != name);
            let mut added = Vec::new();
            for checked in brain.core.checks(name) {
                let Some(check) = brain.core.config().healthchecks.get(checked.check) else { continue };
                let intervals = Intervals::of(check);
                let delay = intervals.first_delay(spread, rank, names.len(), self.rng.f64());
                brain.last_prober += 1;
                let prober = Prober {
                    id: brain.last_prober,
                    intervals,
                    timeout: check.timeout,
                    pace: checked.pace,
                    first: self.now + delay,
                    last_start: None,
                    token: 0,
                    probing: false,
                };
                added.push(((Arc::clone(name), checked.index), prober));
            }
            let keys: Vec<_> = added.iter().map(|(key, _)| key.clone()).collect();
            brain.probers.extend(added);
            keys.iter().for_each(|key| self.schedule_probe(key));
        }
    }

    pub(crate) fn set_pace(&mut self, name: &Key, pace: Pace) {
        let Some(prober) = self.brain.as_mut().and_then(|brain| brain.probers.get_mut(name)) else { return };
        if prober.pace == pace {
            return;
        }
        prober.pace = pace;
        if pace == Pace::Stopped {
            prober.probing = false;
        }
        if !prober.probing {
            self.schedule_probe(name);
        }
    }

    fn schedule_probe(&mut self, name: &Key) {
        let (now, random) = (self.instant(self.now).mono, self.rng.f64());
        let Some(brain) = &mut self.brain else { return };
        let id = brain.id;
        let Some(prober) = brain.probers.get_mut(name) else { return };
        prober.token += 1;
        let (prober_id, token) = (prober.id, prober.token);
        let Some(interval) = prober.intervals.at(prober.pace) else { return };
        let due = match prober.last_start {
            Some(last) => {
                let last = self.base.mono + last;
                schedule::next_start(last, now, interval, random)
            }
            None => self.base.mono + prober.first,
        };
        let due = self.since_start(due).max(self.now);
        self.at(due, Event::ProbeStarts { brain: id, backend: name.clone(), prober: prober_id, token });
    }

    fn prober(&mut self, id: u64, backend: &Key, prober: u64, token: u64) -> Option<&mut Prober> {
        let brain = self.brain.as_mut().filter(|brain| brain.id == id)?;
        brain.probers.get_mut(backend).filter(|found| found.id == prober && found.token == token)
    }

    pub(crate) fn probe_starts(&mut self, id: u64, backend: Key, prober: u64, token: u64) {
        let now = self.now;
        let Some(found) = self.prober(id, &backend, prober, token) else { return };
        found.last_start = Some(now);
        found.probing = true;
        found.token += 1;
        let (token, timeout) = (found.token, found.timeout);
        let target = self
            .brain
            .as_ref()
            .and_then(|brain| brain.core.checks(&backend.0).next())
            .map(|checked| checked.target);
        let passes = target.is_some_and(|target| !self.sick.contains(&target));
        let took = if passes || self.rng.bool() {
            Duration::from_micros(self.rng.u64(200..20_000))
        } else {
            timeout
        };
        let event = Event::ProbeEnds { brain: id, backend, prober, token, started: now, passes };
        self.at(now + took.min(timeout), event);
    }

    pub(crate) fn probe_ends(
        &mut self,
        id: u64,
        backend: Key,
        prober: u64,
        token: u64,
        started: Duration,
        passes: bool,
    ) {
        let now = self.now;
        let reachable = self.vpp.life == Life::Running
            && self.vpp.running_since <= started
            && self.vpp.forwards_from <= started;
        let Some(found) = self.prober(id, &backend, prober, token) else { return };
        let deadline = started + found.timeout;
        // Nothing answers through a disconnected VPP.
        if !reachable && now < deadline {
            let event = Event::ProbeEnds { brain: id, backend, prober, token, started, passes };
            return self.at(deadline, event);
        }
        found.probing = false;
        let code = match () {
            () if self.rng.f64() < self.weather.failing_probers => ProbeCode::SockErr,
            () if !reachable => ProbeCode::L4Tout,
            () if passes => ProbeCode::L4Ok,
            () => ProbeCode::L4Con,
        };
        let outcome = ProbeOutcome { code, detail: "".into(), duration: now - started, asked: None };
        let report = Report {
            backend: Arc::clone(&backend.0),
            check: backend.1,
            outcome,
            late: Duration::ZERO,
            ended: self.instant(now).mono,
        };
        self.schedule_probe(&backend);
        let at = now + Duration::from_micros(self.rng.u64(1..200));
        let at = if self.rng.u8(..50) == 0 { at + Duration::from_millis(self.rng.u64(..300)) } else { at };
        self.at(at, Event::Reported { brain: id, report: Box::new(report) });
    }

    /// Servers that have failed no check of their own for some time.
    pub(crate) fn well(&self) -> BTreeSet<IpAddr> {
        let Some(brain) = &self.brain else { return BTreeSet::new() };
        let addresses = brain.core.config().backends.values().map(|backend| backend.address);
        let recently = |address: &IpAddr| {
            self.recovered.get(address).is_some_and(|at| self.now < *at + Duration::from_secs(120))
        };
        addresses.filter(|address| !self.sick.contains(address) && !recently(address)).collect()
    }

    pub(crate) fn reported(&mut self, id: u64, report: Report) {
        let now = self.instant(self.now);
        let Some(brain) = self.brain.as_mut().filter(|brain| brain.id == id) else { return };
        let effects = brain.core.handle(Input::Probe(report), now);
        self.follow(effects);
    }
}
