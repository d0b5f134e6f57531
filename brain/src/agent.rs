//! The client of the agent: keeps VPP at the newest [`Wanted`].
//!
//! One task, for as long as the process. It may be aborted at any point: every call may be repeated, and what
//! VPP has stays. Only the newest wanted state counts: while a sync is under way, any number of changes
//! end in one sync per VIP. After a reconnect, and whenever VPP comes or goes, everything is synced anew. What is
//! sent, and when, [`Syncs`] decides.
//!
//! Two more tasks, which end with the first, have connections of their own: `echoes` takes echo requests to the agent,
//! `reads` what operators ask of VPP.

mod calls;
mod echoes;
mod reads;
mod received;
mod session;
mod syncs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_protocol::{AgentInfo, Programmed, SyncReport, VipSpec, VppInfo};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::desired::{Demand, ViewId, Wanted};
use crate::probe::EchoAsk;

pub use calls::CallError;
pub use reads::AgentReader;
pub use syncs::{Answer, Call, Sent, Syncs};

/// What happened between brain, agent and VPP.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The agent answers.
    Connected {
        /// Its product version.
        version: String,
        /// The version of the calls, which is the brain's too.
        protocol: u32,
        /// What else it tells of itself.
        info: AgentInfo,
    },
    /// The agent does not answer.
    Disconnected {
        /// Why not.
        reason: String,
    },
    /// VPP came, went or restarted, or is seen for the first time.
    Vpp {
        /// The connection to it.
        info: VppInfo,
        /// What it has, if it can be driven. Nothing is written to it before the controller has decided on this.
        programmed: Option<(ViewId, Programmed)>,
    },
    /// VPP fell silent on a connection that stands, or answers again.
    Silence {
        /// For how long it has answered nothing; `None` if it answers again.
        silent_for: Option<Duration>,
    },
    /// The lb settings of the configuration were refused for another reason than before, or are in VPP now.
    Settings {
        /// Why VPP keeps its own, in the words of who refused.
        refused: Option<String>,
    },
    /// A sync of these VIPs ended.
    Synced {
        /// What was asked for.
        specs: Vec<Arc<VipSpec>>,
        /// The demand that was carried out with it.
        demanded: Option<Demand>,
        /// What came of it.
        result: Result<Arc<SyncReport>, CallError>,
    },
}

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
    let echoes = AbortOnDropHandle::new(services.spawn(echoes::run(socket.clone(), instance, asks)));
    let reads = AbortOnDropHandle::new(services.spawn(reads::run(socket.clone(), instance, questions)));
    let task = tokio::spawn(async move {
        run(socket, instance, wanted, events).await;
        drop((echoes, reads));
    });
    (reader, task)
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
