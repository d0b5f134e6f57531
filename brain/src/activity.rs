//! What goes on all the time, for those who want to watch it: probes, and what VPP answers. While nobody does, it costs one
//! look at a number for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use maglev_engine::agent::AgentEvent;
use maglev_engine::core::Input;
use maglev_engine::outcome::ProbeOutcome;
use maglev_protocol::SyncReport;
use tokio::sync::broadcast;

/// What waits for one who watches. One who falls behind loses the oldest.
const WAITING: usize = 4096;

/// Something that goes on.
#[derive(Debug, Clone)]
pub enum Action {
    /// A probe of this backend begins.
    ProbeStarted(Arc<str>),
    /// It ended.
    Probed(Arc<str>, Arc<ProbeOutcome>),
    /// VPP has answered.
    Wrote(Arc<SyncReport>),
}

/// Where it can be watched. Its clones are the same.
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

/// What goes on from now on, for as long as it is kept.
#[derive(Debug)]
pub struct Watched {
    /// What goes on.
    pub actions: broadcast::Receiver<(SystemTime, Action)>,
    watchers: Arc<AtomicUsize>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// Begins to watch.
    pub fn watch(&self) -> Watched {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watched { actions: self.sender.subscribe(), watchers: Arc::clone(&self.watchers) }
    }

    fn tell(&self, action: impl FnOnce() -> Action) {
        if self.watchers.load(Ordering::Relaxed) > 0 {
            // An error means that the last has just gone.
            drop(self.sender.send((SystemTime::now(), action())));
        }
    }

    /// A probe begins.
    pub fn probe_started(&self, backend: &Arc<str>) {
        self.tell(|| Action::ProbeStarted(Arc::clone(backend)));
    }

    /// Tells what is worth watching of what reaches the controller.
    pub fn arrived(&self, input: &Input) {
        match input {
            Input::Probe(report) => {
                self.tell(|| Action::Probed(Arc::clone(&report.backend), Arc::new(report.outcome.clone())))
            }
            Input::Agent(AgentEvent::Synced { result: Ok(report), .. }) if !report.vips.is_empty() => {
                self.tell(|| Action::Wrote(Arc::clone(report)));
            }
            Input::Agent(_) | Input::Tick => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_for_nobody() {
        let activity = Activity::default();
        activity.tell(|| panic!("made for nobody"));
        let mut watched = activity.watch();
        activity.probe_started(&"web1".into());
        let (_, action) = watched.actions.try_recv().unwrap();
        assert!(matches!(action, Action::ProbeStarted(backend) if &*backend == "web1"));
        drop(watched);
        activity.tell(|| panic!("made for nobody"));
    }
}
