//! The client of the agent: keeps VPP at the newest [`Wanted`].
//!
//! One task, for as long as the process. It may be aborted at any point: every call may be repeated, and what
//! VPP has stays. Only the newest wanted state counts: while a sync is under way, any number of changes
//! end in one sync per VIP. After a reconnect, and whenever VPP comes or goes, everything is synced anew. What is
//! sent, and when, [`Syncs`](maglev_engine::syncs::Syncs) decides.
//!
//! Two more tasks, which end with the first, have connections of their own: `echoes` takes echo requests to the agent,
//! `reads` what operators ask of VPP.

mod calls;
mod echo_queue;
mod echoes;
mod reads;
mod received;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use maglev_daemon::retry::backoff;
use maglev_daemon::vital::vital;
use maglev_engine::agent::AgentEvent;
use maglev_engine::desired::{ViewId, Wanted};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

pub use echo_queue::{ECHOES, EchoAsk, EchoSender, echo_queue};
pub use reads::AgentReader;

/// Starts the client's task. Events go to `events`, whose queue is bounded by its owner; when it is full, the
/// task waits, and with it the next sync. What `asks` asks for is carried out beside the syncs, on `services`; so is
/// what the reader reads.
pub fn start(
    socket: PathBuf,
    instance: u64,
    wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
    asks: mpsc::Receiver<EchoAsk>,
    services: &Handle,
) -> (AgentReader, tokio::task::JoinHandle<()>) {
    let (reader, questions) = reads::queue();
    let echoes = AbortOnDropHandle::new(
        services
            .spawn(vital("the one that sends echo requests", echoes::run(socket.clone(), instance, asks))),
    );
    let reads = AbortOnDropHandle::new(
        services.spawn(vital("the one that asks the agent", reads::run(socket.clone(), instance, questions))),
    );
    let task = tokio::spawn(vital("the one that syncs VPP", async move {
        run(socket, instance, wanted, events).await;
        drop((echoes, reads));
    }));
    (reader, task)
}

/// Lets the client send what is wanted now. What is wanted goes through two tasks, the client and its connection, so it
/// takes two turns of a runtime with one thread.
pub async fn send_wanted() {
    yield_now().await;
    yield_now().await;
}

async fn run(
    socket: PathBuf,
    instance: u64,
    mut wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
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
                let session = session::Session { client: &client, events: &events, view: &mut view };
                session.run(hello, &mut wanted).await
            }
            Err(error) => error,
        };
        let reason = match error {
            session::End::ControllerGone => return,
            session::End::Agent(reason) => reason,
        };
        // The same reason again and again is worth one line.
        if last_reason.as_ref() != Some(&reason) {
            warn!(agent = %socket.display(), %reason, "agent away; VPP keeps what it has");
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
