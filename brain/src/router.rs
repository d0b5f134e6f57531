//! The router's client: brings BIRD's protocols to the desired routes.
//!
//! `run` is one task on the service threads, which ends with the controller. It may be aborted at any point, since each
//! step is complete by itself and a new session reads everything again. The controller never waits for it: decisions that
//! it has not fetched yet are superseded by the next ones, however fast routes flap.

mod bird;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_engine::config::Bird;
use maglev_engine::core::{RouterEvent, WantedRoutes};
use maglev_engine::routes::bird::{Plan, Protocols, ReplyError, Step, announcement, plan};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::debug;

pub(crate) use bird::BirdSocket;

/// Time between two reads of the router without a change: `birdc configure` disables all protocols that the brain has
/// enabled, and BIRD does not tell.
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
}

impl RouterError {
    /// Whether the connection can still be used.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Reply(ReplyError::Refused { .. } | ReplyError::NotConfirmed(_)))
    }
}

/// A connection to a router.
pub(crate) trait Router: Send {
    /// Its version.
    fn version(&self) -> &str;
    /// All protocols with this prefix.
    fn read(&mut self, prefix: &str) -> impl Future<Output = Result<Protocols, RouterError>> + Send;
    /// Carries out a step, which may have been carried out before.
    fn apply(&mut self, step: &Step) -> impl Future<Output = Result<(), RouterError>> + Send;
    /// Returns when the connection has ended. May be dropped and called again.
    fn closed(&mut self) -> impl Future<Output = RouterError> + Send;
}

/// Connects to a router.
pub(crate) trait Connect: Send {
    /// The connection.
    type Router: Router;
    /// Connects.
    fn connect(&self, bird: &Bird) -> impl Future<Output = Result<Self::Router, RouterError>> + Send;
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
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        if now.routes.is_empty() {
            // A brain that announces nothing does not need a router.
            match wanted.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        let error = match session(&connect, &now.bird, &mut wanted, &events, &mut failures).await {
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

async fn session<C: Connect>(
    connect: &C,
    bird: &Bird,
    wanted: &mut watch::Receiver<Arc<WantedRoutes>>,
    events: &mpsc::Sender<RouterEvent>,
    failures: &mut u32,
) -> Result<End, RouterError> {
    let mut router = connect.connect(bird).await?;
    let mut has = router.read(&bird.prefix).await?;
    let mut told = None;
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        if now.bird != *bird {
            return Ok(End::Moved);
        }
        let Plan { steps, missing } = plan(&now.routes, &bird.prefix, &has, now.others);
        let refused = apply(&mut router, &steps).await?;
        if !steps.is_empty() {
            has = router.read(&bird.prefix).await?;
        }
        let routes: BTreeMap<_, _> =
            now.routes.keys().map(|address| (*address, announcement(&bird.prefix, *address, &has))).collect();
        let (version, refused) = (router.version().to_owned(), refused.map(|error| error.to_string()));
        let pause = if refused.is_some() { backoff(REFUSED) } else { READ_EVERY };
        let event = RouterEvent::Read { version, routes, missing, refused };
        if told.as_ref() != Some(&event) {
            if events.send(event.clone()).await.is_err() {
                return Ok(End::Over);
            }
            told = Some(event);
        }
        *failures = 0;
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return Ok(End::Over) },
            error = router.closed() => return Err(error),
            () = sleep(pause) => has = router.read(&bird.prefix).await?,
        }
    }
}

/// Carries out all steps; returns the first refusal. One protocol's does not keep the others from their state.
async fn apply<R: Router>(router: &mut R, steps: &[Step]) -> Result<Option<RouterError>, RouterError> {
    let mut refused = None;
    for step in steps {
        match router.apply(step).await {
            Ok(()) => {}
            Err(error) if error.is_refusal() => drop(refused.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests;
