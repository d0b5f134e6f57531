//! Live activity for watchers: probes, and VPP's answers. Without watchers, each costs reading one number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use maglev_engine::agent::AgentEvent;
use maglev_engine::core::Input;
use maglev_engine::outcome::ProbeOutcome;
use maglev_protocol::SyncReport;
use tokio::sync::broadcast;

/// Maximum number of actions waiting for a watcher. One that falls behind loses the oldest.
const WAITING: usize = 4096;

/// An action.
#[derive(Debug, Clone)]
pub enum Action {
    /// A probe of this backend began, by the check with this index.
    ProbeStarted(Arc<str>, u8),
    /// A probe ended.
    Probed(Arc<str>, u8, Arc<ProbeOutcome>),
    /// VPP answered a sync.
    Wrote(Arc<SyncReport>),
}

/// The source of actions. Clones share it.
#[derive(Debug, Clone)]
pub struct Activity {
    sender: broadcast::Sender<(SystemTime, Action)>,
    watchers: Arc<AtomicUsize>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { sender: broadcast::channel(WAITING).0, watchers: Arc::default() }
    }
}

/// A subscription to future actions, for as long as it is kept.
#[derive(Debug)]
pub struct Watched {
    /// The actions.
    pub actions: broadcast::Receiver<(SystemTime, Action)>,
    watchers: Arc<AtomicUsize>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// Subscribes to actions.
    pub fn watch(&self) -> Watched {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watched { actions: self.sender.subscribe(), watchers: Arc::clone(&self.watchers) }
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    fn tell(&self, action: impl FnOnce() -> Action) {
        if self.is_watched() {
            // Fails only if the last watcher has just gone.
            drop(self.sender.send((SystemTime::now(), action())));
        }
    }

    /// Publishes the start of a probe.
    pub fn probe_started(&self, backend: &Arc<str>, check: usize) {
        self.tell(|| Action::ProbeStarted(Arc::clone(backend), small(check)));
    }

    /// Publishes the end of a probe that was not reported to the controller.
    pub fn probe_ended(
        &self,
        backend: &Arc<str>,
        check: usize,
        outcome: impl FnOnce() -> Option<ProbeOutcome>,
    ) {
        if self.is_watched()
            && let Some(outcome) = outcome()
        {
            self.tell(|| Action::Probed(Arc::clone(backend), small(check), Arc::new(outcome)));
        }
    }

    /// Publishes those of the controller's inputs that watchers want to see.
    pub fn arrived(&self, input: &Input) {
        match input {
            Input::Probe(report) => {
                let outcome = || Arc::new(report.outcome.clone());
                self.tell(|| Action::Probed(Arc::clone(&report.backend), small(report.check), outcome()));
            }
            Input::Agent(AgentEvent::Synced { result: Ok(report), .. }) if !report.vips.is_empty() => {
                self.tell(|| Action::Wrote(Arc::clone(report)));
            }
            Input::Agent(_) | Input::Router(_) | Input::Fleet(_) | Input::Tick => {}
        }
    }
}

/// Index of a check; a backend has a handful of them.
fn small(check: usize) -> u8 {
    u8::try_from(check).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_for_nobody() {
        let activity = Activity::default();
        activity.tell(|| panic!("made for nobody"));
        let mut watched = activity.watch();
        activity.probe_started(&"web1".into(), 0);
        let (_, action) = watched.actions.try_recv().unwrap();
        assert!(matches!(action, Action::ProbeStarted(backend, 0) if &*backend == "web1"));
        drop(watched);
        activity.tell(|| panic!("made for nobody"));
    }
}
