//! WatchEvents: the state, and then every change of it.
//!
//! A watcher begins to listen, then takes a snapshot, tells its state, and passes over the changes that were in it
//! already: the snapshot has the number of its last one. One who falls behind does the same again.

mod activity;
mod asked;
mod hub;

use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use futures::stream::{BoxStream, StreamExt, unfold};
use maglev_engine::snapshot::Snapshot;
use maglev_proto::{Event, WatchEventsRequest};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tonic::Status;

use super::Service;
use super::caller::Caller;
use super::shares::{Place, Places, Shares};
use super::view::events;
use crate::activity::Activity;
use crate::logs::{self, LogTap};
use crate::paced::Cause;
use activity::Going;
use asked::Asked;
use hub::{Hub, Told};

/// How many may watch at once.
const WATCHERS: Places = Places { admins: 512, readers: 3456, strangers: 128 };

/// The stream that a watcher gets.
pub(super) type Events = BoxStream<'static, Result<Event, Status>>;

/// What all watchers share.
#[derive(Debug, Clone)]
pub(super) struct Watching {
    pub(super) logs: LogTap,
    /// Started by the first who watches.
    hub: Arc<OnceLock<Hub>>,
    pub(super) places: Shares,
    activity: Activity,
}

impl Watching {
    pub(super) fn of(activity: Activity) -> Self {
        Self {
            activity,
            logs: LogTap::default(),
            hub: Arc::default(),
            places: Shares::new("streams of events", WATCHERS),
        }
    }
}

#[cfg(test)]
impl Watching {
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }
}

impl Service {
    pub(super) fn watch(&self, caller: &Caller, request: WatchEventsRequest) -> Result<Events, Status> {
        let Watching { logs, hub, places, activity } = &self.watching;
        let place = self.place(Cause::Watcher, places, caller)?;
        let going = Going::of(&request, activity, &self.snapshots);
        let asked = Asked::of(request, &self.snapshot())?;
        let hub = hub.get_or_init(|| Hub::start(self.operator.clone(), logs, self.ending.clone()));
        let changes = hub.changes().ok_or_else(over)?;
        let lines = match asked.log() {
            Some(level) => Some(Lines { told: hub.lines().ok_or_else(over)?, _asked: logs.ask(level) }),
            None => None,
        };
        let (snapshots, file) = (self.snapshots.clone(), self.reloader.path().display().to_string());
        let mut watcher = Watcher {
            snapshots,
            file,
            asked,
            changes,
            lines,
            going,
            seen: 0,
            telling: Telling::Changes,
            _place: place,
        };
        watcher.tell_state();
        let events = unfold(watcher, |mut watcher| async { Some((watcher.next().await?, watcher)) });
        Ok(events.boxed())
    }
}

fn over() -> Status {
    Status::unavailable("the brain is ending")
}

struct Watcher {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The configuration's.
    file: String,
    asked: Asked,
    changes: Receiver<Told>,
    lines: Option<Lines>,
    going: Option<Going>,
    /// The number of the last change that the state had which was told.
    seen: u64,
    telling: Telling,
    _place: Place,
}

struct Lines {
    told: Receiver<Told>,
    /// Keeps the lines coming.
    _asked: logs::Asked,
}

/// What a watcher is told next.
enum Telling {
    /// The rest of the state that is.
    State(Box<dyn Iterator<Item = Event> + Send>),
    /// What changes.
    Changes,
    /// Nothing, for it is over.
    Nothing,
}

impl Watcher {
    /// Has the state told as it is now.
    fn tell_state(&mut self) {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        self.seen = snapshot.events;
        self.telling = Telling::State(Box::new(events::state(&snapshot, &self.file, SystemTime::now())));
    }

    async fn next(&mut self) -> Option<Result<Event, Status>> {
        loop {
            match &mut self.telling {
                Telling::State(state) => match state.find(|event| self.asked.has(event)) {
                    Some(event) => return Some(Ok(event)),
                    None => self.telling = Telling::Changes,
                },
                Telling::Changes => {
                    if let Some(event) = self.change().await {
                        return Some(event);
                    }
                }
                Telling::Nothing => return None,
            }
        }
    }

    /// The next that is told, unless it is not asked for or known already.
    async fn change(&mut self) -> Option<Result<Event, Status>> {
        let line = async {
            match &mut self.lines {
                Some(lines) => lines.told.recv().await,
                None => pending().await,
            }
        };
        let going = async {
            match &mut self.going {
                Some(going) => going.next().await,
                None => pending().await,
            }
        };
        let told = tokio::select! {
            told = self.changes.recv() => told,
            told = line => told,
            event = going => return event.filter(|event| self.asked.has(event)).map(Ok),
        };
        match told {
            Ok(Told::Change(number, _)) if number <= self.seen => None,
            Ok(Told::Change(_, event) | Told::Line(event)) => {
                self.asked.has(&event).then(|| Ok(Event::clone(&event)))
            }
            Ok(Told::Missed(count)) | Err(RecvError::Lagged(count)) => {
                self.tell_state();
                Some(Ok(events::missed(SystemTime::now(), count)))
            }
            Err(RecvError::Closed) => {
                self.telling = Telling::Nothing;
                Some(Err(over()))
            }
        }
    }
}
