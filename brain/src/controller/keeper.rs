//! Persists overrides in the state directory, so that the controller never waits for a disk.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maglev_daemon::blocking::Blocking;
use maglev_daemon::retry::backoff;
use maglev_daemon::vital::vital;
use maglev_engine::overrides::Overrides;
use maglev_engine::tally::BrainTally;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, info};

use crate::state::StateDirectory;

/// Timeout of a write. The operator is then told that the override is not persisted yet; the write itself
/// goes on.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// Result of the last write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) version: u64,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
}

/// Passes the newest overrides to the persisting task. Versions not fetched in time are superseded by the
/// next one, which contains all of their changes.
#[derive(Debug)]
pub(super) struct Keeper {
    newest: watch::Sender<(u64, Arc<Overrides>)>,
    kept: watch::Receiver<Kept>,
}

impl Keeper {
    /// Starts the task on the current runtime. It retries until the newest version is persisted, and ends
    /// when this handle is dropped, after one last write. It may be aborted at any point, since a write is
    /// atomic.
    pub(super) fn start(
        directory: Option<StateDirectory>,
        tally: Arc<BrainTally>,
    ) -> (Self, watch::Receiver<Kept>, JoinHandle<()>) {
        let (newest, wanted) = watch::channel((0, Arc::default()));
        let unwritable =
            directory.as_ref().and_then(|directory| directory.unwritable().map(ToString::to_string));
        tally.set_overrides_kept(unwritable.is_none());
        let (kept, told) = watch::channel(Kept { version: 0, error: unwritable });
        let keeping = run(directory, wanted, kept, tally);
        let task = tokio::spawn(vital("persisting overrides", keeping));
        (Self { newest, kept: told.clone() }, told, task)
    }

    /// Persists these overrides; returns the version to wait for.
    pub(super) fn keep(&self, overrides: &Arc<Overrides>) -> u64 {
        let version = self.newest.borrow().0 + 1;
        self.newest.send_replace((version, Arc::clone(overrides)));
        version
    }

    /// Whether the last version could not be persisted.
    pub(super) fn owes(&self) -> bool {
        self.kept.borrow().error.is_some()
    }
}

async fn run(
    directory: Option<StateDirectory>,
    mut wanted: watch::Receiver<(u64, Arc<Overrides>)>,
    kept: watch::Sender<Kept>,
    tally: Arc<BrainTally>,
) {
    let directory = directory.map(|directory| Arc::new(Mutex::new(directory)));
    let writing = Blocking::new("writing them to the disk", 1, WRITTEN_WITHIN);
    let mut failures = 0;
    loop {
        let retry = async {
            match failures {
                0 => pending().await,
                _ => sleep(backoff(failures)).await,
            }
        };
        let ended = tokio::select! {
            changed = wanted.changed() => changed.is_err(),
            () = retry => false,
        };
        if ended && failures == 0 {
            return;
        }
        let (version, overrides) = wanted.borrow_and_update().clone();
        let error = match directory.clone() {
            None => Some("there is no state directory".to_owned()),
            Some(directory) => {
                let save = move || directory.lock().unwrap_or_else(PoisonError::into_inner).save(&overrides);
                match writing.run(save).await {
                    Ok(saved) => saved.err().map(|error| error.to_string()),
                    Err(error) => Some(error.to_string()),
                }
            }
        };
        match &error {
            // Logged once for each reason, however often it is retried.
            Some(error) if kept.borrow().error.as_ref() != Some(error) => {
                error!(%error, "overrides would not survive a restart");
            }
            None if failures > 0 => info!("overrides are persisted again"),
            _ => {}
        }
        failures = if error.is_some() && directory.is_some() { failures + 1 } else { 0 };
        tally.set_overrides_kept(error.is_none());
        kept.send_replace(Kept { version, error });
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
