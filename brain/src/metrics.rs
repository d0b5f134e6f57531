//! What Prometheus is told, and the small server that tells it.
//!
//! A scrape reads the newest [`Snapshot`] and VPP's figures, which the agent has a second at most to give; it takes
//! nothing of the controller's but an `Arc`. The text is made on a thread for blocking work, one scrape at a time: one
//! of 10,000 backends takes some 20 MB while it is made.
//!
//! Tasks: [`serve`] accepts, until its `shutdown` ends; one task a connection, which ends with its answer. Each may be
//! aborted at any point.

mod backends;
pub mod catalogue;
mod exposition;
mod frontends;
mod process;
mod server;
mod status;
mod vpp;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::{Blocking, BlockingError};
use maglev_protocol::Counters;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

pub use exposition::Text;
pub use process::Process;
pub use server::{BindError, MetricsAddress, open, serve};

use crate::coalesced::Timed;
use crate::controller::Controller;
use crate::figures::Figures;
use crate::service::Unserved;
use exposition::Exposition;
use maglev_engine::snapshot::Snapshot;

/// A scrape waits so long for the agent, and goes without VPP's figures after that.
const FIGURES_WAIT: Duration = Duration::from_secs(1);

/// A scrape waits so long for its turn and its text. One of 10,000 backends takes some 30 ms.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

/// Everything that one scrape tells.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The brain's state.
    pub snapshot: &'a Snapshot,
    /// What VPP counts, if the agent could tell.
    pub counters: Option<&'a Counters>,
    /// What the kernel knows of this process.
    pub process: Process,
    /// When it started.
    pub started: SystemTime,
    /// How many addresses should be listened on, and are not.
    pub unserved: usize,
}

/// The whole text, in the format of Prometheus.
///
/// The families are made and written one after the other. A registry of the prometheus crate would hold all of them at
/// once and sort them, which takes longer than all the rest.
///
/// # Errors
/// Only if a metric breaks the format's rules, which is a mistake in this program.
pub fn render(scene: &Scene<'_>) -> Result<Text, prometheus::Error> {
    let mut out = Exposition::default();
    status::write(scene, &mut out)?;
    vpp::write(scene.snapshot, scene.counters, &mut out)?;
    frontends::write(scene.snapshot, scene.counters, &mut out)?;
    backends::write(scene.snapshot, &mut out)?;
    Ok(out.finish())
}

/// Answers scrapes.
#[derive(Debug, Clone)]
pub struct Exporter {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    figures: Figures,
    unserved: Unserved,
    started: SystemTime,
    /// One text is made at a time; the others wait, none longer than its connection may last.
    writing: Blocking,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// A mistake in this program.
    #[error("the metrics cannot be written: {0}")]
    Encoding(#[from] prometheus::Error),
    /// The text could not be made in time.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl Exporter {
    /// Tells of this controller, in a process that starts now.
    pub fn new(controller: &Controller) -> Self {
        Self {
            snapshots: controller.snapshots.clone(),
            figures: controller.figures.clone(),
            unserved: controller.unserved.clone(),
            started: SystemTime::now(),
            writing: Blocking::new("writing the metrics", 1, WRITTEN_WITHIN),
        }
    }

    /// One scrape.
    ///
    /// # Errors
    /// If the process ends, or is faulty.
    pub async fn scrape(&self) -> Result<Text, ScrapeError> {
        let counters = self.counters().await;
        let (snapshot, started) = (Arc::clone(&self.snapshots.borrow()), self.started);
        let unserved = self.unserved.reasons().len();
        let text = self.writing.run(move || {
            let (counters, process) = (counters.as_deref().map(|counters| &counters.value), Process::read());
            render(&Scene { snapshot: &snapshot, counters, process, started, unserved })
        });
        Ok(text.await??)
    }

    /// What VPP counts, if the agent tells in time.
    async fn counters(&self) -> Option<Arc<Timed<Counters>>> {
        match timeout(FIGURES_WAIT, self.figures.get()).await {
            Ok(Ok(counters)) => Some(counters),
            Ok(Err(error)) => {
                debug!(%error, "a scrape goes without VPP's figures");
                None
            }
            Err(_) => {
                debug!(wait = ?FIGURES_WAIT, "a scrape goes without VPP's figures: the agent has not answered");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
