//! Faults of a running simulator's stats segment.

use std::time::Duration;

use tokio::time::sleep;
use tracing::error;

use super::{Host, State};
use crate::faults::StatsFault;
use crate::stats::StatsError;

impl Host {
    /// Sets a fault of the stats segment. It lasts until it is ended, all faults are cleared, or VPP is
    /// restarted; churn survives a restart, and only a restart removes entries.
    ///
    /// # Errors
    /// When the segment has no room for it.
    pub fn set_stats_fault(&self, fault: StatsFault) -> Result<(), StatsError> {
        if let StatsFault::Churn(period) = fault {
            self.churn.send_replace(period);
            return Ok(());
        }
        let mut state = self.lock();
        let segment = state.segment.as_mut().ok_or(StatsError::GivenUp)?;
        match fault {
            StatsFault::Busy(busy) => segment.set_busy(busy),
            StatsFault::Grow(count) => segment.add_fillers(count),
            StatsFault::Break(damage) => segment.set_damage(damage),
            StatsFault::Churn(_) => Ok(()),
        }
    }

    /// What is being done to the stats segment.
    pub fn stats_faults(&self) -> Vec<StatsFault> {
        let state = self.lock();
        let segment = state.segment.as_ref();
        let busy = segment.is_some_and(|segment| segment.is_busy()).then_some(StatsFault::Busy(true));
        let churn = self.churn.borrow().map(|period| StatsFault::Churn(Some(period)));
        let damage =
            segment.and_then(|segment| segment.damage()).map(|damage| StatsFault::Break(Some(damage)));
        [busy, churn, damage].into_iter().flatten().collect()
    }

    /// Ends what is being done to it.
    ///
    /// # Errors
    /// When its memory cannot be written.
    pub fn clear_stats_faults(&self) -> Result<(), StatsError> {
        for fault in self.stats_faults() {
            self.set_stats_fault(match fault {
                StatsFault::Busy(_) => StatsFault::Busy(false),
                StatsFault::Break(_) => StatsFault::Break(None),
                StatsFault::Churn(_) | StatsFault::Grow(_) => StatsFault::Churn(None),
            })?;
        }
        Ok(())
    }

    /// Churns the segment for as long as it is asked for. Runs for ever, and may be dropped at any time.
    pub(super) async fn churn_stats(&self) {
        let mut wanted = self.churn.subscribe();
        loop {
            let period: Option<Duration> = *wanted.borrow_and_update();
            let step = async {
                match period {
                    Some(period) => sleep(period).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = step => self.lock().churn(),
                _ = wanted.changed() => {}
            }
        }
    }
}

impl State {
    fn churn(&mut self) {
        if let Some(Err(error)) = self.segment.as_mut().map(|segment| segment.churn()) {
            error!(%error, "the stats segment stays as it is from now on");
            self.segment = None;
        }
    }
}
