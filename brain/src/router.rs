//! The router's client: brings BIRD's protocols, or the kernel's tables, to the desired routes.
//!
//! `run` is one task on the service threads, which ends with the controller. It may be aborted at any point, since each
//! step is complete by itself and a new session reads everything again. The controller never waits for it: decisions that
//! it has not fetched yet are superseded by the next ones, however fast routes flap.

mod bird;
mod kernel;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_engine::agent::CallError;
use maglev_engine::config;
use maglev_engine::core::{RouterEvent, WantedRoutes};
use maglev_engine::routes::Announcement;
use maglev_engine::routes::bird::ReplyError;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::agent::AgentLink;
use bird::{Bird, BirdSocket};
use kernel::KernelTables;

/// Time between two reads of the router without a change: `birdc configure` disables all protocols that the brain has
/// enabled, somebody may remove a route from the kernel's table, and nobody tells.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Number of failures that the pause before repeating refused steps corresponds to.
const REFUSED: u32 = 5;

/// Failure of a session with the router.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouterError {
    /// There is no connection to it.
    #[error("cannot connect to {socket}: {error}")]
    Connect {
        /// Its socket.
        socket: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// It hangs.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// It refuses, or answers something else.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The agent has not carried a call out.
    #[error(transparent)]
    Agent(#[from] CallError),
}

impl RouterError {
    /// Whether the connection can still be used.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Reply(ReplyError::Refused { .. } | ReplyError::NotConfirmed(_)))
    }
}

/// What a router has after a sync.
#[derive(Debug)]
pub(crate) struct Synced {
    /// Its version.
    version: String,
    /// What it does with each of the desired addresses.
    routes: BTreeMap<IpAddr, Announcement>,
    /// Protocols that its configuration lacks.
    missing: Vec<String>,
    /// The first change that it refused, and why.
    refused: Option<String>,
    /// The addresses whose routes were changed.
    changed: Vec<IpAddr>,
}

/// A connection to a router.
pub(crate) trait Router: Send {
    /// Reads it, and brings it to the desired routes; without a difference, writes nothing. A refused change does not keep
    /// the others from being made.
    fn sync(&mut self, wanted: &WantedRoutes) -> impl Future<Output = Result<Synced, RouterError>> + Send;
    /// Returns when the connection has ended. May be dropped and called again.
    fn closed(&mut self) -> impl Future<Output = RouterError> + Send;
}

/// Connects to a router.
pub(crate) trait Connect: Send {
    /// The connection.
    type Router: Router;
    /// Connects.
    fn connect(
        &self,
        router: &config::Router,
    ) -> impl Future<Output = Result<Self::Router, RouterError>> + Send;
}

/// The routers that a configuration can name.
#[derive(Debug)]
pub(crate) struct Routers(pub(crate) AgentLink);

/// A connection to one of them.
#[derive(Debug)]
pub(crate) enum Connected {
    Bird(Bird),
    Kernel(KernelTables),
}

impl Connect for Routers {
    type Router = Connected;

    async fn connect(&self, router: &config::Router) -> Result<Connected, RouterError> {
        match router {
            config::Router::Bird(bird) => Ok(Connected::Bird(BirdSocket.connect(bird).await?)),
            config::Router::Kernel => Ok(Connected::Kernel(KernelTables(self.0.current()?))),
        }
    }
}

impl Router for Connected {
    async fn sync(&mut self, wanted: &WantedRoutes) -> Result<Synced, RouterError> {
        match self {
            Self::Bird(bird) => bird.sync(wanted).await,
            Self::Kernel(kernel) => kernel.sync(wanted).await,
        }
    }

    async fn closed(&mut self) -> RouterError {
        match self {
            Self::Bird(bird) => bird.closed().await,
            Self::Kernel(kernel) => kernel.closed().await,
        }
    }
}

/// Regular end of a session.
enum End {
    /// The controller is gone.
    Over,
    /// The configuration has another router.
    Moved,
}

/// Runs as long as the controller does.
pub(crate) async fn run<C: Connect>(
    connect: C,
    mut wanted: watch::Receiver<Arc<WantedRoutes>>,
    events: mpsc::Sender<RouterEvent>,
) {
    let mut failures = 0;
    let mut former = None;
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        if now.routes.is_empty() && former.is_none() {
            // A brain that announces nothing does not need a router.
            match wanted.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        let error =
            match session(&connect, &now.router, (&mut wanted, &events), &mut former, &mut failures).await {
                Ok(End::Over) => return,
                Ok(End::Moved) => continue,
                Err(error) => error,
            };
        failures += 1;
        debug!(%error, failures, "no session with the router");
        if events.send(RouterEvent::Lost { reason: error.to_string() }).await.is_err() {
            return;
        }
        let pause = sleep(backoff(failures));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                changed = wanted.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// The router of an earlier configuration. Its routes are withdrawn as soon as the new one has them.
type Former<R> = Option<(R, config::Router)>;

async fn session<C: Connect>(
    connect: &C,
    settings: &config::Router,
    (wanted, events): (&mut watch::Receiver<Arc<WantedRoutes>>, &mpsc::Sender<RouterEvent>),
    former: &mut Former<C::Router>,
    failures: &mut u32,
) -> Result<End, RouterError> {
    let mut router = connect.connect(settings).await?;
    let mut told = None;
    // The routes that the router last had.
    let mut had = None;
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        if now.router != *settings {
            *former = Some((router, settings.clone()));
            return Ok(End::Moved);
        }
        let Synced { version, routes, missing, refused, changed } = router.sync(&now).await?;
        let pause = if refused.is_some() { backoff(REFUSED) } else { READ_EVERY };
        let is_complete = refused.is_none() && missing.is_empty();
        // Without a decision in between, somebody else has changed them.
        let restored = if had.as_ref() == Some(&now) { changed } else { Vec::new() };
        had = is_complete.then(|| Arc::clone(&now));
        let read = |restored| {
            let (version, routes, missing) = (version.clone(), routes.clone(), missing.clone());
            RouterEvent::Read { version, routes, missing, refused: refused.clone(), restored }
        };
        let event = read(Vec::new());
        if told.as_ref() != Some(&event) || !restored.is_empty() {
            told = Some(event);
            if events.send(read(restored)).await.is_err() {
                return Ok(End::Over);
            }
        }
        *failures = 0;
        if is_complete
            && now.others
            && let Some((former, settings)) = former.take()
        {
            leave(former, settings).await;
            continue;
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return Ok(End::Over) },
            error = router.closed() => return Err(error),
            () = sleep(pause) => {}
        }
    }
}

/// Withdraws everything from a router that is no longer configured.
async fn leave<R: Router>(mut router: R, settings: config::Router) {
    let name = settings.name();
    let nothing = WantedRoutes { router: settings, routes: BTreeMap::new(), others: true };
    if let Err(error) = router.sync(&nothing).await {
        warn!(router = name, %error, "routes of the router before the reload cannot be withdrawn");
    }
}

#[cfg(test)]
mod tests;
