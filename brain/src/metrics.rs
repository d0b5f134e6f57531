//! The Prometheus exporter and its small HTTP server, which also answers `/healthz` and `/readyz`.
//!
//! A scrape reads the newest [`Snapshot`] and VPP's counters, waiting at most a second for the agent; from
//! the controller it takes only an `Arc`. The text is built on a thread for blocking work, one scrape at a
//! time: with 10,000 backends, it takes some 20 MB while being built.
//!
//! Tasks: [`serve`] accepts, until its `shutdown` ends; one task per connection, which ends with its answer.
//! Each may be aborted at any point.

mod backends;
pub mod catalogue;
mod exposition;
mod fleet;
mod frontends;
mod process;
mod routes;
mod server;
mod status;
mod vpp;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use maglev_daemon::blocking::{Blocking, BlockingError};
use maglev_protocol::Counters;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::debug;

pub use exposition::Text;
pub use process::Process;
pub use server::{BindError, MetricsAddress, open, serve};

use crate::coalesced::Timed;
use crate::controller::{Controller, Operator};
use crate::figures::Figures;
use crate::fleet::{Fleet, Status};
use crate::service::Unserved;
use crate::webhooks::Reading;
use exposition::Exposition;
use maglev_engine::snapshot::Snapshot;

/// How long a scrape waits for the agent. Beyond it, VPP's counters are left out.
const FIGURES_WAIT: Duration = Duration::from_secs(1);

/// Time limit of a scrape, for its turn and its text. With 10,000 backends, the text takes some 30 ms.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

/// Data of one scrape.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The brain's state.
    pub snapshot: &'a Snapshot,
    /// VPP's counters, if the agent answered in time.
    pub counters: Option<&'a Counters>,
    /// Resource usage of this process.
    pub process: Process,
    /// Start time of the process.
    pub started: SystemTime,
    /// How many addresses should be listened on, and are not.
    pub unserved: usize,
    /// State of the webhooks.
    pub webhooks: &'a [Reading],
    /// The fleet, if this brain is a member of one.
    pub fleet: Option<&'a Status>,
}

/// Size of the text for a backend of one frontend, in bytes. Growing the text would copy it several times.
const BACKEND: usize = 2_000;

/// Renders the whole text, in Prometheus' format.
pub fn render(scene: &Scene<'_>) -> Text {
    let mut out = Exposition::with_capacity(scene.snapshot.backends.len() * BACKEND);
    status::write(scene, &mut out);
    fleet::write(scene.fleet, &mut out);
    vpp::write(scene.snapshot, scene.counters, &mut out);
    frontends::write(scene.snapshot, scene.counters, &mut out);
    routes::write(scene.snapshot, &mut out);
    backends::write(scene.snapshot, scene.counters, &mut out);
    out.finish()
}

/// Serves scrapes.
#[derive(Debug, Clone)]
pub struct Exporter {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    figures: Figures,
    operator: Operator,
    unserved: Unserved,
    fleet: Option<Fleet>,
    started: SystemTime,
    /// One text is built at a time; others wait, at most for the lifetime of their connections.
    writing: Blocking,
}

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// A bug in this program: nothing can fail in memory.
    #[error("the metrics cannot be compressed: {0}")]
    Compression(#[from] std::io::Error),
    /// The text was not ready in time.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl Exporter {
    /// Exports this controller's state, in a process that starts now.
    pub fn new(controller: &Controller) -> Self {
        Self {
            snapshots: controller.snapshots.clone(),
            figures: controller.figures.clone(),
            operator: controller.operator.clone(),
            unserved: controller.unserved.clone(),
            fleet: None,
            started: SystemTime::now(),
            writing: Blocking::new("writing the metrics", 1, WRITTEN_WITHIN),
        }
    }

    /// The same for a member of a fleet.
    #[must_use]
    pub fn with_fleet(self, fleet: Option<Fleet>) -> Self {
        Self { fleet, ..self }
    }

    /// Asks the controller for a sign of life.
    pub async fn is_alive(&self) -> bool {
        self.operator.is_alive().await
    }

    /// Reason for VPP not serving all frontends as desired; `None` if it does.
    pub fn not_ready(&self) -> Option<String> {
        self.snapshots.borrow().not_ready(Instant::now().into_std())
    }

    /// Performs one scrape, and compresses its text.
    ///
    /// # Errors
    /// Like [`scrape`](Self::scrape).
    pub async fn scrape_gzip(&self) -> Result<Vec<u8>, ScrapeError> {
        let text = self.scrape().await?.text;
        let compressed = self.writing.run(move || {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish())
        });
        Ok(compressed.await??)
    }

    /// Performs one scrape.
    ///
    /// # Errors
    /// If the process is shutting down, or has a bug.
    pub async fn scrape(&self) -> Result<Text, ScrapeError> {
        let counters = self.counters().await;
        let (snapshot, started) = (Arc::clone(&self.snapshots.borrow()), self.started);
        let unserved = self.unserved.reasons().len();
        let webhooks = self.operator.history().webhooks().readings();
        let fleet = self.fleet.as_ref().map(Fleet::status);
        let text = self.writing.run(move || {
            let (counters, process) = (counters.as_deref().map(|counters| &counters.value), Process::read());
            let (webhooks, fleet) = (&webhooks[..], fleet.as_ref());
            render(&Scene { snapshot: &snapshot, counters, process, started, unserved, webhooks, fleet })
        });
        Ok(text.await?)
    }

    /// VPP's counters, if the agent answers in time.
    async fn counters(&self) -> Option<Arc<Timed<Counters>>> {
        match timeout(FIGURES_WAIT, self.figures.get()).await {
            Ok(Ok(counters)) => Some(counters),
            Ok(Err(error)) => {
                debug!(%error, "scrape without VPP's counters");
                None
            }
            Err(_) => {
                debug!(wait = ?FIGURES_WAIT, "scrape without VPP's counters: the agent has not answered");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
