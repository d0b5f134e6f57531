//! Fan-out from the controller to all watchers.
//!
//! The controller's thread wakes one task, however many watchers there are, and so does a thread that logs.
//! That task converts changes to messages once, and passes them on in bursts: watchers are woken at most once
//! in [`PACE`]. It ends with the controller or with the service; then all streams end.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::vital::vital;
use maglev_engine::core::Numbered;
use maglev_proto::Event;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender, WeakSender, channel};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::controller::Operator;
use crate::grpc::view::events;
use crate::logs::{Line, LogTap};

/// Changes and lines buffered for a watcher. One that falls behind loses the oldest and learns how many. More
/// than the hub's own input buffer, so that a burst of it fits if a watcher was up to date.
const WAITING: usize = 8192;
/// Minimum time between two bursts. A single change is passed on at once.
const PACE: Duration = Duration::from_millis(20);

/// A message from the hub.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A change, with its number.
    Change(u64, Arc<Event>),
    /// A line of the log.
    Line(Arc<Event>),
    /// Number of changes that the hub itself missed.
    Missed(u64),
}

/// The watchers' source. Only the task keeps the channels open.
#[derive(Debug)]
pub(super) struct Hub {
    changes: WeakSender<Told>,
    lines: WeakSender<Told>,
}

impl Hub {
    /// Starts the task on the current runtime.
    pub(super) fn start(operator: Operator, logs: &LogTap, ending: CancellationToken) -> Self {
        let ((changes, _), (lines, _)) = (channel(WAITING), channel(WAITING));
        let hub = Self { changes: changes.downgrade(), lines: lines.downgrade() };
        let heard = Heard { changes: operator.events(), lines: Some(logs.lines()) };
        tokio::spawn(vital("event hub", async move {
            let over = async {
                tokio::select! {
                    () = operator.ended() => {}
                    () = ending.cancelled() => {}
                }
            };
            run(heard, Passed { changes, lines }, over).await;
        }));
        hub
    }

    /// Changes from now on; `None` if the hub has ended.
    pub(super) fn changes(&self) -> Option<Receiver<Told>> {
        self.changes.upgrade().map(|changes| changes.subscribe())
    }

    /// Log lines from now on; `None` if the hub has ended.
    pub(super) fn lines(&self) -> Option<Receiver<Told>> {
        self.lines.upgrade().map(|lines| lines.subscribe())
    }
}

struct Heard {
    changes: Receiver<Numbered>,
    /// `None` once the log is closed.
    lines: Option<Receiver<Arc<Line>>>,
}

struct Passed {
    changes: Sender<Told>,
    lines: Sender<Told>,
}

async fn run(mut heard: Heard, passed: Passed, over: impl Future<Output = ()>) {
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return,
            change = heard.changes.recv() => match change {
                Ok(change) => passed.change(&change),
                Err(RecvError::Lagged(missed)) => send(&passed.changes, Told::Missed(missed)),
                Err(RecvError::Closed) => return,
            },
            line = next_line(&mut heard.lines) => match line {
                Ok(line) => passed.line(&line),
                Err(RecvError::Lagged(missed)) => send(&passed.lines, Told::Missed(missed)),
                Err(RecvError::Closed) => heard.lines = None,
            },
        }
        heard.pass_all(&passed);
        tokio::select! {
            () = &mut over => return,
            () = sleep(PACE) => {}
        }
    }
}

async fn next_line(lines: &mut Option<Receiver<Arc<Line>>>) -> Result<Arc<Line>, RecvError> {
    match lines {
        Some(lines) => lines.recv().await,
        None => pending().await,
    }
}

impl Heard {
    /// Passes on everything already received.
    fn pass_all(&mut self, passed: &Passed) {
        for _ in 0..self.changes.len() {
            match self.changes.try_recv() {
                Ok(change) => passed.change(&change),
                Err(TryRecvError::Lagged(missed)) => send(&passed.changes, Told::Missed(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let Some(lines) = &mut self.lines else { return };
        for _ in 0..lines.len() {
            match lines.try_recv() {
                Ok(line) => passed.line(&line),
                Err(TryRecvError::Lagged(missed)) => send(&passed.lines, Told::Missed(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }
}

impl Passed {
    fn change(&self, Numbered { number, at, event, who }: &Numbered) {
        if self.changes.receiver_count() > 0 {
            send(&self.changes, Told::Change(*number, Arc::new(events::change(*at, event, who.as_deref()))));
        }
    }

    fn line(&self, line: &Line) {
        if self.lines.receiver_count() > 0 {
            send(&self.lines, Told::Line(Arc::new(events::line(line))));
        }
    }
}

fn send(to: &Sender<Told>, told: Told) {
    // Fails only if nobody watches.
    drop(to.send(told));
}
