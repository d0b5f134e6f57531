//! The connection to VPP: connects, reconnects, and is the only place that writes to VPP.
//!
//! One task, [`start`]ed once, owns the connection, the mirror and the queue of calls. It takes one call at a
//! time, so that the steps of two writers never interleave, and finishes a call even if the caller has gone.
//! It stops between two calls when told to; aborted within a call, it leaves a VIP between two states,
//! neither of which is out of service, and the next full sync completes it.

mod calls;
mod link;
mod reads;
mod retry;
mod session;
mod socket_file;
mod stats;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::VppState;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::liveness::Silence;
use crate::policy::SharedPolicy;
pub use calls::Vpp;
use calls::{Call, QUEUE};
use link::Link;
use reads::Reads;
use retry::Retry;
use session::{End, Session};

/// VPP's sockets, and what may be done with VPP.
#[derive(Debug, Clone)]
pub struct Options {
    /// VPP's API socket.
    pub api_socket: PathBuf,
    /// VPP's stats socket.
    pub stats_socket: PathBuf,
    /// Limits on what may be programmed.
    pub policy: SharedPolicy,
    /// Minimum age at which servers' counters are read again, which costs VPP time.
    pub servers_age: Duration,
}

/// Starts the task, which runs until `stop` is cancelled or the last handle is dropped.
pub fn start(options: Options, stop: CancellationToken) -> (Vpp, JoinHandle<()>) {
    let (calls, queue) = mpsc::channel(QUEUE);
    let (link, watched) = watch::channel(Link::default());
    let (silence, silences) = watch::channel(Silence::default());
    let reads = Arc::new(Reads::new(options.policy.clone()));
    let vpp = Vpp::new(calls, watched, silences, Arc::clone(&reads));
    let task = tokio::spawn(async move { run(&options, queue, &link, &silence, &reads, &stop).await });
    (vpp, task)
}

async fn run(
    options: &Options,
    mut queue: mpsc::Receiver<Call>,
    link: &watch::Sender<Link>,
    silence: &watch::Sender<Silence>,
    reads: &Reads,
    stop: &CancellationToken,
) {
    let mut retry = Retry::default();
    let mut before = None;
    loop {
        let connected = tokio::select! {
            connected = Session::connect(options, before) => connected,
            () = refuse(&mut queue, link, stop) => return,
        };
        let (reason, silent_for) = match connected {
            Ok((mut session, state)) => {
                let since = Instant::now();
                before = Some(session.identity());
                link.send_if_modified(|link| link.change(state, since));
                let end = session.serve(options, &mut queue, link, silence, reads, stop).await;
                reads.outdated();
                retry.connected_for(since.elapsed());
                match end {
                    End::Stop => return,
                    End::Closed(reason) => (reason, Duration::ZERO),
                    End::Lost(reason) => (reason, session.silence()),
                }
            }
            Err(reason) => (reason, Duration::ZERO),
        };
        let silent_ms = u64::try_from(silent_for.as_millis()).unwrap_or(u64::MAX);
        let news = link.send_if_modified(|link| {
            link.change(VppState::Disconnected { reason: reason.clone(), silent_ms }, Instant::now())
        });
        if news {
            warn!(%reason, silent_ms, "VPP disconnected; retrying");
        } else {
            debug!(%reason, "VPP still disconnected");
        }
        tokio::select! {
            () = retry.pause(&options.api_socket) => {}
            () = refuse(&mut queue, link, stop) => return,
        }
    }
}

/// Refuses calls while VPP is disconnected. Returns when the task must stop.
async fn refuse(queue: &mut mpsc::Receiver<Call>, link: &watch::Sender<Link>, stop: &CancellationToken) {
    while let Some(Some(call)) = stop.run_until_cancelled(queue.recv()).await {
        let error = link.borrow().error();
        call.refuse(error);
    }
}
