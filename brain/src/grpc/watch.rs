//! WatchEvents: the current state, then every change.
//!
//! A watcher subscribes, then takes a snapshot, sends its state, and skips the changes already in it, by the
//! number of its last one. A watcher that falls behind starts over.

mod activity;
mod filter;
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
use filter::Filter;
use hub::{Hub, Told};

/// Maximum number of watchers.
const WATCHERS: Places = Places { admins: 512, readers: 3456, strangers: 128 };

/// The stream returned to a watcher.
pub(super) type Events = BoxStream<'static, Result<Event, Status>>;

/// State shared by all watchers.
#[derive(Debug, Clone)]
pub(super) struct Watching {
    pub(super) logs: LogTap,
    /// Started by the first watcher.
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
        let asked = Filter::of(request, &self.snapshot())?;
        let hub = hub.get_or_init(|| Hub::start(self.operator.clone(), logs, self.ending.clone()));
        let log = asked.log().map(|level| logs.ask(level));
        let told = if log.is_some() { hub.all() } else { hub.changes() }.ok_or_else(over)?;
        let (snapshots, file) = (self.snapshots.clone(), self.reloader.path().display().to_string());
        let mut watcher = Watcher {
            snapshots,
            file,
            asked,
            told,
            _log: log,
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
    Status::unavailable("maglev-brain is shutting down")
}

struct Watcher {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The configuration's.
    file: String,
    asked: Filter,
    /// Changes, with lines of the log among them if they are asked for.
    told: Receiver<Told>,
    /// Keeps the lines coming.
    _log: Option<logs::LevelRequest>,
    going: Option<Going>,
    /// The number of the last change included in the state that was sent.
    seen: u64,
    telling: Telling,
    _place: Place,
}

/// What a watcher is told next.
enum Telling {
    /// The rest of the current state.
    State(Box<dyn Iterator<Item = Event> + Send>),
    /// Changes.
    Changes,
    /// Nothing more: the stream has ended.
    Nothing,
}

impl Watcher {
    /// Sends the current state.
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

    /// The next change, unless it is filtered out or already known.
    async fn change(&mut self) -> Option<Result<Event, Status>> {
        let going = async {
            match &mut self.going {
                Some(going) => going.next().await,
                None => pending().await,
            }
        };
        let told = tokio::select! {
            told = self.told.recv() => told,
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
