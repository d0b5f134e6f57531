//! Fan-out from the controller to all watchers.
//!
//! The controller's thread wakes one task, however many watchers there are, and so does a thread that logs.
//! That task converts changes to messages once, and passes them on in bursts: watchers are woken at most once
//! in [`PACE`]. It ends with the controller or with the service; then all streams end.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    all: WeakSender<Told>,
}

impl Hub {
    /// Starts the task on the current runtime.
    pub(super) fn start(operator: Operator, logs: &LogTap, ending: CancellationToken) -> Self {
        let ((changes, _), (all, _)) = (channel(WAITING), channel(WAITING));
        let hub = Self { changes: changes.downgrade(), all: all.downgrade() };
        let heard = Heard { changes: operator.events(), lines: Some(logs.lines()) };
        tokio::spawn(vital("event hub", async move {
            let over = async {
                tokio::select! {
                    () = operator.ended() => {}
                    () = ending.cancelled() => {}
                }
            };
            run(heard, Passed { changes, all }, over).await;
        }));
        hub
    }

    /// Changes from now on; `None` if the hub has ended.
    pub(super) fn changes(&self) -> Option<Receiver<Told>> {
        self.changes.upgrade().map(|changes| changes.subscribe())
    }

    /// Changes and lines of the log in the order of their times, from now on, unless it is over.
    pub(super) fn all(&self) -> Option<Receiver<Told>> {
        self.all.upgrade().map(|all| all.subscribe())
    }
}

struct Heard {
    changes: Receiver<Numbered>,
    /// `None` once the log is closed.
    lines: Option<Receiver<Arc<Line>>>,
}

struct Passed {
    changes: Sender<Told>,
    all: Sender<Told>,
}

/// What is passed on together.
#[derive(Default)]
struct Burst {
    changes: Vec<Result<Numbered, u64>>,
    lines: Vec<Result<Arc<Line>, u64>>,
}

async fn run(mut heard: Heard, passed: Passed, over: impl Future<Output = ()>) {
    tokio::pin!(over);
    loop {
        let mut burst = Burst::default();
        tokio::select! {
            () = &mut over => return,
            change = heard.changes.recv() => match change {
                Ok(change) => burst.changes.push(Ok(change)),
                Err(RecvError::Lagged(missed)) => burst.changes.push(Err(missed)),
                Err(RecvError::Closed) => return,
            },
            line = next_line(&mut heard.lines) => match line {
                Ok(line) => burst.lines.push(Ok(line)),
                Err(RecvError::Lagged(missed)) => burst.lines.push(Err(missed)),
                Err(RecvError::Closed) => heard.lines = None,
            },
        }
        // Lines last: those that were written before one of the changes are then among them.
        take_all(&mut heard.changes, &mut burst.changes);
        if let Some(lines) = &mut heard.lines {
            take_all(lines, &mut burst.lines);
        }
        passed.pass(burst);
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

/// Takes what is there already; of what was lost, the number.
fn take_all<T: Clone>(from: &mut Receiver<T>, into: &mut Vec<Result<T, u64>>) {
    for _ in 0..from.len() {
        match from.try_recv() {
            Ok(one) => into.push(Ok(one)),
            Err(TryRecvError::Lagged(missed)) => into.push(Err(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

impl Passed {
    /// Each kind stays in its own order, whatever the clock does; between the two, the earlier goes first, and a line
    /// before the change that it is about.
    fn pass(&self, burst: Burst) {
        let mut lines = burst.lines.into_iter().peekable();
        for change in burst.changes {
            let at = change.as_ref().map_or(SystemTime::UNIX_EPOCH, |change| change.at);
            while let Some(line) = lines.next_if(|line| line.as_ref().is_ok_and(|line| line.at <= at)) {
                self.line(line);
            }
            self.change(change);
        }
        lines.for_each(|line| self.line(line));
    }

    fn change(&self, change: Result<Numbered, u64>) {
        if self.changes.receiver_count() == 0 && self.all.receiver_count() == 0 {
            return;
        }
        let told = match change {
            Ok(Numbered { number, at, event, who }) => {
                Told::Change(number, Arc::new(events::change(at, &event, who.as_deref())))
            }
            Err(missed) => Told::Missed(missed),
        };
        for to in [&self.changes, &self.all] {
            send(to, told.clone());
        }
    }

    fn line(&self, line: Result<Arc<Line>, u64>) {
        if self.all.receiver_count() > 0 {
            let line = line.map(|line| Told::Line(Arc::new(events::line(&line))));
            send(&self.all, line.unwrap_or_else(Told::Missed));
        }
    }
}

fn send(to: &Sender<Told>, told: Told) {
    // Fails only if nobody watches.
    drop(to.send(told));
}
