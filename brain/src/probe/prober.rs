//! The task that probes one backend.
//!
//! One runs for each backend that has a check, from its start until its [`Prober`] is dropped. It may be
//! aborted at any point: it owns a socket and nothing else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::schedule::{self, Pace};
use super::{ProbeOutcome, probe};
use crate::config::HealthCheck;

/// The end of one probe.
#[derive(Debug)]
pub struct Report {
    /// Name of the backend.
    pub backend: Arc<str>,
    /// What was found.
    pub outcome: ProbeOutcome,
}

/// Handle of a probing task. Dropping it ends the task.
#[derive(Debug)]
pub struct Prober {
    pace: watch::Sender<Pace>,
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts to probe. The reports' queue is bounded: when the controller falls behind, probes wait for it
    /// and become later, but none is lost.
    pub fn start(
        backend: Arc<str>,
        target: IpAddr,
        check: HealthCheck,
        startup_min_delay: Duration,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (pace, paces) = watch::channel(Pace::Fast);
        let first = Instant::now() + schedule::first_delay(&check, startup_min_delay, fastrand::f64());
        let task = tokio::spawn(run(backend, target, check, first, reports, paces));
        Self { pace, task }
    }

    /// Sets how often to probe from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.pace.send_if_modified(|current| std::mem::replace(current, pace) != pace);
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    backend: Arc<str>,
    target: IpAddr,
    check: HealthCheck,
    first: Instant,
    reports: mpsc::Sender<Report>,
    mut paces: watch::Receiver<Pace>,
) {
    let mut start = first;
    loop {
        sleep_until(start).await;
        let outcome = probe(target, &check).await;
        if reports.send(Report { backend: Arc::clone(&backend), outcome }).await.is_err() {
            return;
        }
        // The controller may set another pace at any moment, mostly in answer to the report just sent.
        let (last_start, random) = (start, fastrand::f64());
        loop {
            let pace = *paces.borrow_and_update();
            let next = schedule::interval(&check, pace)
                .map(|interval| schedule::next_start(last_start, Instant::now(), interval, random));
            tokio::select! {
                changed = paces.changed() => if changed.is_err() { return },
                () = wait_until(next) => {
                    start = Instant::now();
                    break;
                }
            }
        }
    }
}

async fn wait_until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
