//! Live names from maglev-brain for completion: fetched in the background, and cached briefly.
//!
//! At most one task for each list; it ends with maglev-brain's answer or at its timeout, and may be aborted
//! at any point, since it only reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use crate::args::Options;
use crate::client::Client;
use crate::error::Error;
use crate::shell::names::{List, Names};
use maglev_proto::client::{ServerAddress, TlsFiles};

/// How long completion may delay typing.
const PATIENCE: Duration = Duration::from_millis(300);

/// Maximum age of cached names that are used without a new request.
const FRESH: Duration = Duration::from_millis(1500);

/// Maximum age of cached names that are used if newer ones do not arrive in time, as from a large site.
const USABLE: Duration = Duration::from_secs(30);

/// Maximum time for fetching a list, however long other commands may take: a hanging connection must not
/// block names for long.
const LONGEST: Duration = Duration::from_secs(5);

/// Cached lists.
pub(crate) struct Live {
    runtime: Handle,
    /// The first server that the shell was started for.
    server: Option<ServerAddress>,
    tls: TlsFiles,
    timeout: Duration,
    slots: RefCell<BTreeMap<List, Slot>>,
}

struct Slot {
    known: watch::Receiver<Known>,
    /// Sets `known` to its result, or to none.
    task: JoinHandle<()>,
}

type Known = Option<(Instant, Arc<Names>)>;

impl Live {
    pub(crate) fn new(runtime: Handle, options: &Options) -> Self {
        let (server, tls) = (options.servers().into_iter().next(), options.tls.clone());
        let timeout = options.timeout.min(LONGEST);
        Self { runtime, server, tls, timeout, slots: RefCell::default() }
    }

    /// Waits at most PATIENCE, then returns without names. Must not be called inside the runtime.
    pub(crate) fn names(&self, list: List) -> Arc<Names> {
        let mut slots = self.slots.borrow_mut();
        let before = slots.remove(&list);
        let mut slot = match before {
            Some(slot) if newest(&slot.known, FRESH).is_some() || !slot.task.is_finished() => slot,
            before => self.ask(list, before.map(|slot| slot.known.borrow().clone()).unwrap_or_default()),
        };
        if newest(&slot.known, FRESH).is_none() {
            // The result is in `known`.
            drop(self.runtime.block_on(async { time::timeout(PATIENCE, slot.known.changed()).await }));
        }
        let names = newest(&slot.known, USABLE).unwrap_or_default();
        slot.known.mark_unchanged();
        slots.insert(list, slot);
        names
    }

    fn ask(&self, list: List, before: Known) -> Slot {
        let (tell, known) = watch::channel(before);
        let (server, tls, timeout) = (self.server.clone(), self.tls.clone(), self.timeout);
        let task = self.runtime.spawn(async move {
            let answer = match &server {
                Some(server) => time::timeout(timeout, fetch(server, &tls, timeout, list)).await.ok(),
                None => None,
            };
            tell.send_modify(|known| {
                if let Some(Ok(names)) = answer {
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

async fn fetch(
    server: &ServerAddress,
    tls: &TlsFiles,
    timeout: Duration,
    list: List,
) -> Result<Names, Error> {
    let client = Client::connect(server, tls, timeout).await?;
    let mut names = Names::default();
    match list {
        List::Frontends => {
            names.frontends = client.frontends().await?.frontends.into_iter().map(Into::into).collect();
        }
        List::Backends => {
            names.backends = client.backends().await?.backends.into_iter().map(|one| one.name).collect();
        }
        List::HealthChecks => {
            let list = client.health_checks().await?.healthchecks;
            names.healthchecks = list.into_iter().map(|one| one.name).collect();
        }
        List::Overrides => {
            names.overrides = client.overrides().await?.overrides.into_iter().map(Into::into).collect();
        }
    }
    Ok(names)
}
