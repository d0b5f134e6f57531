//! What went wrong since this member began to run its revision.

use std::sync::Arc;

use maglev_engine::core::{Event, Numbered};
use maglev_engine::fleet::records::Problems;
use maglev_engine::health::State;
use maglev_engine::routes::Announcement;
use maglev_engine::snapshot::Snapshot;
use maglev_engine::tally::BrainTally;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// Counts events, and compares counters with those of the moment when the revision was taken.
#[derive(Debug)]
pub(super) struct Counts {
    events: broadcast::Receiver<Numbered>,
    downs: u64,
    withdrawn: u64,
    sync_errors: u64,
    drift: u64,
}

impl Counts {
    pub(super) fn new(events: broadcast::Receiver<Numbered>, snapshot: &Snapshot) -> Self {
        let tally = &snapshot.tally;
        Self { events, downs: 0, withdrawn: 0, sync_errors: sync_errors(tally), drift: tally.drift.get() }
    }

    /// Restarts all counts.
    pub(super) fn reset(&mut self, snapshot: &Snapshot) {
        self.drain();
        (self.downs, self.withdrawn) = (0, 0);
        (self.sync_errors, self.drift) = (sync_errors(&snapshot.tally), snapshot.tally.drift.get());
    }

    /// The problems until now.
    pub(super) fn read(&mut self, snapshot: &Snapshot) -> Problems {
        self.drain();
        Problems {
            downs: self.downs,
            sync_errors: sync_errors(&snapshot.tally).saturating_sub(self.sync_errors),
            drift: snapshot.tally.drift.get().saturating_sub(self.drift),
            withdrawn: self.withdrawn,
        }
    }

    fn drain(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(Numbered { event, .. }) => self.count(&event),
                // More than anybody could look at: some of them were certainly bad.
                Err(TryRecvError::Lagged(_)) => self.downs += 1,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Backend { transition, .. } if transition.to == State::Down => self.downs += 1,
            Event::Route { from: Some(Announcement::Announced), view, .. }
                if view.route.announcement == Some(Announcement::Withdrawn) =>
            {
                self.withdrawn += 1;
            }
            _ => {}
        }
    }
}

fn sync_errors(tally: &Arc<BrainTally>) -> u64 {
    tally.failed_syncs.get() + tally.vip_syncs.refused.get() + tally.full_syncs.refused.get()
}
