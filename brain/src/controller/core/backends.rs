//! What happens to a backend, and what follows from it.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::{debug, info, warn};

use super::{Core, Effects, Event};
use crate::controller::snapshot::LastProbe;
use crate::health::{Input, Refused, Transition};
use crate::probe::{ProbeOutcome, Report, Verdict};

impl Core {
    /// Takes a probe's result. Ten thousand come in a second, and nearly all of them change nothing.
    pub(super) fn probed(&mut self, report: Report, now: SystemTime) -> Effects {
        let mut effects = Effects::default();
        let Report { backend, outcome, late, ended } = report;
        let Some(view) = self.backends.get_mut(&backend) else {
            return effects;
        };
        let view = Arc::make_mut(view);
        let before = view.last_probe.as_ref().map(|last| last.outcome.code.verdict());
        let pace = view.health.pace();
        view.last_probe = Some(LastProbe { outcome: outcome.clone(), at: now, ended, late });
        let handled = view.health.handle(Input::Probe(outcome.clone()), now);
        let next = view.health.pace();
        if next != pace {
            effects.paces.insert(Arc::clone(&backend), next);
        }
        if before != Some(outcome.code.verdict()) {
            self.note_verdict(&backend, before, &outcome);
        }
        match handled {
            Ok(None) => {}
            Ok(Some(transition)) => self.follow(&backend, transition, now, &mut effects),
            Err(refused) => warn!(%backend, %refused, "probe's result does not fit"),
        }
        effects
    }

    /// Logs another verdict than the last. Whatever keeps the probes of one backend from being made mostly keeps
    /// them all, so there is one line for all.
    fn note_verdict(&mut self, backend: &Arc<str>, before: Option<Verdict>, outcome: &ProbeOutcome) {
        if !outcome.passed() {
            debug!(%backend, %outcome, "probe failed");
        }
        if outcome.code.verdict() == Verdict::NotKnown {
            self.unprobed += 1;
            if self.unprobed == 1 {
                warn!(%backend, %outcome, "some backends cannot be probed, and keep their states");
            }
        } else if before == Some(Verdict::NotKnown) {
            self.unprobed -= 1;
            if self.unprobed == 0 {
                info!("all backends can be probed again");
            }
        }
    }

    /// Gives an input to a backend's health, and follows what comes of it.
    pub(super) fn input(
        &mut self,
        backend: &Arc<str>,
        input: Input,
        now: SystemTime,
    ) -> Result<Effects, Refused> {
        let mut effects = Effects::default();
        if let Some(view) = self.backends.get_mut(backend)
            && let Some(transition) = Arc::make_mut(view).health.handle(input, now)?
        {
            self.follow(backend, transition, now, &mut effects);
        }
        Ok(effects)
    }

    fn follow(&mut self, backend: &Arc<str>, transition: Transition, now: SystemTime, effects: &mut Effects) {
        let Some(view) = self.backends.get(backend) else {
            return;
        };
        let frontends = Arc::clone(&view.frontends);
        effects.state = true;
        effects.paces.insert(Arc::clone(backend), view.health.pace());
        effects.tell(Event::Backend { backend: Arc::clone(backend), transition });
        for frontend in frontends.iter() {
            self.reweigh(frontend, now, effects);
        }
    }
}
