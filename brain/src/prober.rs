//! The task that probes one backend.
//!
//! There is one for each backend with a check, which runs until its [`Prober`] is dropped. It may be aborted
//! at any point: it owns nothing but a socket. While waiting it holds no buffers, so that ten thousand of
//! them cost little; those of a probe live as long as the probe.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use maglev_daemon::vital::vital;
use maglev_engine::outcome::{ProbeOutcome, Report};
use maglev_engine::schedule::{self, Intervals, Pace};
use maglev_probe::Checker;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::activity::Activity;
use crate::agent::EchoSender;

/// A repeatable probe.
pub trait Probe: Send + 'static {
    /// Runs one probe, which ends within its timeout.
    fn probe(&self) -> BoxFuture<'static, ProbeOutcome>;
}

/// A backend with its check.
#[derive(Debug)]
pub struct Checked {
    /// Its name.
    pub backend: Arc<str>,
    /// The check.
    pub checker: Arc<Checker<EchoSender>>,
    /// The backend's address.
    pub target: IpAddr,
    /// Where watchers see probes.
    pub activity: Activity,
}

impl Probe for Checked {
    fn probe(&self) -> BoxFuture<'static, ProbeOutcome> {
        self.activity.probe_started(&self.backend);
        let (checker, target) = (Arc::clone(&self.checker), self.target);
        Box::pin(async move { checker.probe(target).await })
    }
}

/// Handle of a probing task. Dropping it ends the task.
#[derive(Debug)]
pub struct Prober {
    wish: Arc<Wish>,
    task: JoinHandle<()>,
}

/// The interval that the controller wants. A watch channel would need ten times the memory.
#[derive(Debug)]
struct Wish {
    pace: AtomicU8,
    prober: AtomicWaker,
}

impl Wish {
    fn pace(&self) -> Pace {
        let known = [Pace::Normal, Pace::Fast, Pace::Down];
        let pace = self.pace.load(Ordering::Acquire);
        known.into_iter().find(|known| *known as u8 == pace).unwrap_or(Pace::Stopped)
    }

    /// Ready with the pace once `fits` accepts it. It may have changed several times meanwhile.
    fn poll_until(&self, cx: &mut Context<'_>, fits: impl Fn(Pace) -> bool) -> Poll<Pace> {
        // Registered first, so that a change right after the check wakes the task.
        self.prober.register(cx.waker());
        let pace = self.pace();
        if fits(pace) { Poll::Ready(pace) } else { Poll::Pending }
    }

    async fn until(&self, fits: impl Fn(Pace) -> bool) -> Pace {
        poll_fn(|cx| self.poll_until(cx, &fits)).await
    }
}

impl Prober {
    /// Starts probing at this pace, the first time after `first_delay`. The queue of reports is bounded: when
    /// the controller falls behind, probes wait for it, and none is lost.
    pub fn start(
        backend: Arc<str>,
        probe: impl Probe,
        intervals: Intervals,
        pace: Pace,
        first_delay: Duration,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let wish = Arc::new(Wish { pace: AtomicU8::new(pace as u8), prober: AtomicWaker::new() });
        let first = Instant::now() + first_delay;
        let task = tokio::spawn(vital(
            "a prober",
            run(backend, probe, intervals, first, reports, Arc::clone(&wish)),
        ));
        Self { wish, task }
    }

    /// Sets the probing interval. [`Pace::Stopped`] cancels a probe in progress, without a report.
    pub fn set_pace(&self, pace: Pace) {
        if self.wish.pace.swap(pace as u8, Ordering::AcqRel) != pace as u8 {
            self.wish.prober.wake();
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    backend: Arc<str>,
    probe: impl Probe,
    intervals: Intervals,
    first: Instant,
    reports: mpsc::Sender<Report>,
    wish: Arc<Wish>,
) {
    let mut last_start = None;
    let timer = sleep_until(first);
    tokio::pin!(timer);
    loop {
        let due = wait(&mut timer, first, last_start, &intervals, &wish).await;
        let started = Instant::now();
        last_start = Some(started);
        let outcome = tokio::select! {
            // In this order, so that no packet is sent once probing has stopped.
            biased;
            _ = wish.until(|pace| pace == Pace::Stopped) => None,
            outcome = probe.probe() => Some(outcome),
        };
        if let Some(outcome) = outcome {
            let late = started.saturating_duration_since(due);
            let report =
                Report { backend: Arc::clone(&backend), outcome, late, ended: Instant::now().into_std() };
            if reports.send(report).await.is_err() {
                return;
            }
        }
    }
}

/// Waits until the next probe is due; returns the due time. The controller may change the interval at any
/// moment, usually in response to the last report.
async fn wait(
    timer: &mut std::pin::Pin<&mut Sleep>,
    first: Instant,
    last_start: Option<Instant>,
    intervals: &Intervals,
    wish: &Wish,
) -> Instant {
    let random = fastrand::f64();
    let mut pace = wish.pace();
    loop {
        let due = intervals.at(pace).map(|interval| match last_start {
            Some(last) => {
                let now = Instant::now().into_std();
                schedule::next_start(last.into_std(), now, interval, random).into()
            }
            None => first,
        });
        let Some(due) = due else {
            pace = wish.until(|now| now != Pace::Stopped).await;
            continue;
        };
        timer.as_mut().reset(due);
        tokio::select! {
            biased;
            next = wish.until(|now| now != pace) => pace = next,
            () = timer.as_mut() => return due,
        }
    }
}

#[cfg(test)]
mod tests;
