//! The agent's client: brings VPP to the newest [`Wanted`] state.
//!
//! One task that lives as long as the process. It may be aborted at any point: every call may be repeated,
//! and VPP keeps its state. Only the newest desired state counts: any number of changes during a sync result
//! in one more sync per VIP. After a reconnect, and whenever VPP connects or disconnects, everything is
//! synced again. [`Syncs`](maglev_engine::syncs::Syncs) decides what is sent when.
//!
//! Two more tasks, which end with the first, have connections of their own: `echoes` sends echo requests to
//! the agent, `reads` sends operators' requests for VPP's state.

mod calls;
mod echo_queue;
mod echoes;
mod link;
mod reads;
mod received;
mod session;
pub mod tunnels;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use maglev_daemon::retry::backoff;
use maglev_daemon::vital::vital;
use maglev_engine::agent::AgentEvent;
use maglev_engine::desired::{ViewId, Wanted};
use maglev_protocol::{AgentClient, Dialect};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

pub use echo_queue::{ECHOES, EchoAsk, EchoSender, echo_queue};
pub use link::AgentLink;
pub(crate) use link::LinkedAgent;
pub use reads::AgentReader;
pub use tunnels::{Lease, Tunnels, tunnels};

/// Starts the client's task. Events go to `events`, a bounded queue; when it is full, the task waits, and the
/// next sync with it. Echo requests from `asks` and calls of the reader run on `services`, independently of
/// the syncs.
pub fn start(
    socket: PathBuf,
    instance: u64,
    wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
    asks: mpsc::Receiver<EchoAsk>,
    services: &Handle,
) -> (AgentReader, AgentLink, tokio::task::JoinHandle<()>) {
    let (reader, questions) = reads::queue();
    let (linked, link) = AgentLink::new();
    let echoes = AbortOnDropHandle::new(
        services.spawn(vital("echo requests", echoes::run(socket.clone(), instance, asks))),
    );
    let reads = AbortOnDropHandle::new(
        services.spawn(vital("reads from the agent", reads::run(socket.clone(), instance, questions))),
    );
    let task = tokio::spawn(vital("sync with VPP", async move {
        run(socket, instance, wanted, events, linked).await;
        drop((echoes, reads));
    }));
    (reader, link, task)
}

/// Lets the client send the desired state now. It passes through two tasks, the client and its connection, so
/// that takes two turns of a single-threaded runtime.
pub async fn send_wanted() {
    yield_now().await;
    yield_now().await;
}

/// Asks an agent what its VPP can be programmed with.
///
/// # Errors
/// If it cannot tell, or no VPP is connected.
pub async fn dialect(socket: &Path, instance: u64) -> Result<Dialect, String> {
    let failed = |end| match end {
        session::End::Agent(reason) => reason,
        session::End::ControllerGone => "shutting down".to_owned(),
    };
    let (client, ..) = session::greet(socket, instance).await.map_err(failed)?;
    let programmed = calls::flatten(client.programmed(calls::within(calls::CALL)).await);
    Ok(programmed.map_err(|error| error.to_string())?.dialect)
}

async fn run(
    socket: PathBuf,
    instance: u64,
    mut wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
    linked: watch::Sender<Option<AgentClient>>,
) {
    let mut failures = 0u32;
    let mut last_reason = None;
    let mut view = ViewId::default();
    loop {
        let error = match session::greet(&socket, instance).await {
            Ok((client, hello, info)) => {
                info!(agent = %socket.display(), version = %hello.version, pid = info.pid, "agent connected");
                failures = 0;
                let (version, protocol) = (hello.version.clone(), hello.protocol);
                if events.send(AgentEvent::Connected { version, protocol, info }).await.is_err() {
                    return;
                }
                linked.send_replace(Some(client.clone()));
                let session = session::Session { client: &client, events: &events, view: &mut view };
                session.run(hello, &mut wanted).await
            }
            Err(error) => error,
        };
        linked.send_replace(None);
        let reason = match error {
            session::End::ControllerGone => return,
            session::End::Agent(reason) => reason,
        };
        // A repeated reason is logged once.
        if last_reason.as_ref() != Some(&reason) {
            warn!(agent = %socket.display(), %reason, "agent disconnected; VPP keeps what it has");
            last_reason = Some(reason.clone());
        }
        if events.send(AgentEvent::Disconnected { reason }).await.is_err() {
            return;
        }
        sleep(backoff(failures)).await;
        failures = failures.saturating_add(1);
    }
}

#[cfg(test)]
pub(crate) mod tests;
