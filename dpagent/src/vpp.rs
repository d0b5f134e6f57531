//! The connection to VPP: made, kept, made again; and the one place from which VPP is written to.
//!
//! One task, [`start`]ed once, owns the connection, the mirror and the queue of calls. It takes one call after the
//! other, so that no two writers mix their steps, and finishes what it began whether or not the caller still
//! waits. It ends when told to, between two calls; aborted within one, it leaves a VIP between two states, neither
//! of which is out of service, and the next full sync completes it.

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

/// Where VPP is, and what may be done to it.
#[derive(Debug, Clone)]
pub struct Options {
    /// VPP's API socket.
    pub api_socket: PathBuf,
    /// VPP's stats socket.
    pub stats_socket: PathBuf,
    /// What may be programmed.
    pub policy: SharedPolicy,
    /// Least age at which the servers' figures are read again, which costs VPP time.
    pub servers_age: Duration,
}

/// Starts the task, which runs until `stop`, or until the last handle is gone.
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
            debug!(%reason, "VPP still away");
        }
        tokio::select! {
            () = retry.pause(&options.api_socket) => {}
            () = refuse(&mut queue, link, stop) => return,
        }
    }
}

/// Answers calls while there is no VPP. Returns when the task shall end.
async fn refuse(queue: &mut mpsc::Receiver<Call>, link: &watch::Sender<Link>, stop: &CancellationToken) {
    while let Some(Some(call)) = stop.run_until_cancelled(queue.recv()).await {
        let error = link.borrow().error();
        call.refuse(error);
    }
}
