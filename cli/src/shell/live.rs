//! Names from maglev-brain, for completion: asked for in the background, and kept for a moment.
//!
//! One task at most for each list; it ends when maglev-brain has answered or the time is over, and may be
//! aborted at any point, since it only reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use crate::address::ServerAddress;
use crate::args::Options;
use crate::client::Client;
use crate::error::Error;
use crate::shell::names::{List, Names};

/// How long typing may be held up.
const PATIENCE: Duration = Duration::from_millis(300);

/// Names that are no older are not asked for again.
const FRESH: Duration = Duration::from_millis(1500);

/// Names that are no older still serve if newer ones do not come in time, as from a site that takes longer than
/// PATIENCE to list.
const USABLE: Duration = Duration::from_secs(30);

/// How long a list may take at most, however long commands may: a connection that hangs must not keep names
/// away for long.
const LONGEST: Duration = Duration::from_secs(5);

/// What is known of each list.
pub(crate) struct Live {
    runtime: Handle,
    server: ServerAddress,
    timeout: Duration,
    slots: RefCell<BTreeMap<List, Slot>>,
}

struct Slot {
    known: watch::Receiver<Known>,
    /// Tells `known` of what it found, or that it found nothing.
    task: JoinHandle<()>,
}

type Known = Option<(Instant, Arc<Names>)>;

impl Live {
    pub(crate) fn new(runtime: Handle, options: &Options) -> Self {
        let (server, timeout) = (options.server.clone(), options.timeout.min(LONGEST));
        Self { runtime, server, timeout, slots: RefCell::default() }
    }

    /// Waits no longer than PATIENCE; then without names. Not for use inside the runtime.
    pub(crate) fn names(&self, list: List) -> Arc<Names> {
        let mut slots = self.slots.borrow_mut();
        let before = slots.remove(&list);
        let mut slot = match before {
            Some(slot) if newest(&slot.known, FRESH).is_some() || !slot.task.is_finished() => slot,
            before => self.ask(list, before.map(|slot| slot.known.borrow().clone()).unwrap_or_default()),
        };
        if newest(&slot.known, FRESH).is_none() {
            // What happens in it shows in `known`.
            drop(self.runtime.block_on(async { time::timeout(PATIENCE, slot.known.changed()).await }));
        }
        let names = newest(&slot.known, USABLE).unwrap_or_default();
        slot.known.mark_unchanged();
        slots.insert(list, slot);
        names
    }

    fn ask(&self, list: List, before: Known) -> Slot {
        let (tell, known) = watch::channel(before);
        let (server, timeout) = (self.server.clone(), self.timeout);
        let task = self.runtime.spawn(async move {
            let answer = time::timeout(timeout, fetch(&server, timeout, list)).await;
            tell.send_modify(|known| {
                if let Ok(Ok(names)) = answer {
                    *known = Some((Instant::now(), Arc::new(names)));
                }
            });
        });
        Slot { known, task }
    }
}

fn newest(known: &watch::Receiver<Known>, age: Duration) -> Option<Arc<Names>> {
    known.borrow().as_ref().filter(|(at, _)| at.elapsed() <= age).map(|(_, names)| Arc::clone(names))
}

async fn fetch(server: &ServerAddress, timeout: Duration, list: List) -> Result<Names, Error> {
    let client = Client::connect(server, timeout).await?;
    let mut names = Names::default();
    match list {
        List::Frontends => {
            names.frontends = client.frontends().await?.frontends.into_iter().map(Into::into).collect();
        }
        List::Backends => {
            names.backends = client.backends().await?.backends.into_iter().map(|one| one.name).collect();
        }
        List::HealthChecks => {
            let list = client.healthchecks().await?.healthchecks;
            names.healthchecks = list.into_iter().map(|one| one.name).collect();
        }
        List::Overrides => {
            names.overrides = client.overrides().await?.overrides.into_iter().map(Into::into).collect();
        }
    }
    Ok(names)
}
