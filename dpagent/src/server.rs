//! The RPCs on the agent's socket.
//!
//! [`serve`] accepts those whom [`Gate`] lets in; each connection has a task of its own, which carries all requests of
//! that connection and ends with it. Any of them may be aborted at any time: what they ask of VPP is done by the task
//! of [`Vpp`].

mod calls;
mod hangup;
mod listen;
mod pace;
mod peer;
mod writer;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_protocol::codec::{ServerCodec, framing};
use maglev_protocol::{Agent, AgentRequest, AgentResponse};
use tarpc::server::{BaseChannel, Channel, Config};
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use crate::icmp::{MOST_IN_FLIGHT, Pinger};
use crate::policy::Policy;
use crate::vpp::Vpp;
use calls::Connection;
use hangup::HangUp;
pub use listen::{ListenError, Listener};
use pace::Pace;
use peer::{Peer, Refusals};
use writer::WriterSeat;

/// Connections at once: three of a brain, as many of its successor, and some operators' tools. Further ones are closed at once.
pub const MOST_CONNECTIONS: usize = 16;
/// Calls that ask something of VPP, under way or waiting for their turn, on all connections. Further ones are
/// refused, which the brain takes for a passing fault.
pub const MOST_VPP_CALLS: usize = 64;
/// Requests in flight on a connection: echo requests of both families, mostly. Further ones are refused by tarpc.
pub const MOST_REQUESTS: usize = 2 * MOST_IN_FLIGHT + MOST_VPP_CALLS;
/// Answers that wait to be written, beyond which those who answer wait.
const ANSWERS: usize = 256;
/// Pause when accepting fails, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may call, what for, and with what.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The user that the brain runs as. Everybody else is refused.
    pub brain_user: u32,
    /// What the brain may ask for.
    pub policy: Arc<Policy>,
    /// Sends echo requests; without it, why none can be sent.
    pub pinger: Result<Pinger, String>,
    /// What the brain is told of the agent.
    pub process: Process,
}

/// The agent's process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its start, in Unix seconds.
    pub started: u64,
}

impl Process {
    /// This one, which starts now. Behind the filter of system calls, nobody could ask for its id any more.
    pub fn starts() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), started: now.as_secs() }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    vpp: Vpp,
    gate: Gate,
    instance: u64,
    writer: WriterSeat,
    /// Of [`MOST_VPP_CALLS`].
    vpp_calls: Semaphore,
    echoes: Mutex<Pace>,
    /// The instance that was last refused for its protocol, since it is logged once.
    refused: Mutex<Option<u64>>,
}

/// Serves RPCs for ever.
pub async fn serve(listener: Listener, gate: Gate, vpp: Vpp) {
    let echoes = Pace::new(gate.policy.limits.echo_requests_per_second, Instant::now());
    let shared = Arc::new(Shared {
        vpp,
        gate,
        instance: fastrand::u64(..),
        writer: WriterSeat::default(),
        vpp_calls: Semaphore::new(MOST_VPP_CALLS),
        echoes: Mutex::new(echoes),
        refused: Mutex::default(),
    });
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut refusals = Refusals::default();
    let mut accepted = 0;
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream, shared.gate.brain_user) {
            Ok(peer) => peer,
            Err(refusal) => {
                refusals.log(&refusal, Instant::now());
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            warn!(most = MOST_CONNECTIONS, "too many connections: one more was closed");
            continue;
        };
        accepted += 1;
        let agent = Connection {
            shared: Arc::clone(&shared),
            number: accepted,
            peer,
            greeted: Arc::new(OnceLock::new()),
        };
        tokio::spawn(async move {
            let (writer, number) = (agent.shared.writer.clone(), agent.number);
            connection(stream, agent).await;
            writer.leave(number);
            drop(place);
        });
    }
}

async fn connection(stream: UnixStream, agent: Connection) {
    let mut pace = Pace::new(agent.shared.gate.policy.limits.requests_per_second, Instant::now());
    let codec = ServerCodec::<AgentRequest, AgentResponse>::default();
    let transport = HangUp(tarpc::serde_transport::new(Framed::new(stream, framing()), codec));
    let channel = BaseChannel::new(Config { pending_response_buffer: ANSWERS }, transport);
    let requests = channel.max_concurrent_requests(MOST_REQUESTS).requests();
    tokio::pin!(requests);
    let mut answers = FuturesUnordered::new();
    // Until then, nothing is read from a peer that sends too much: it waits, and loses nothing.
    let mut not_before = None;
    loop {
        tokio::select! {
            () = until(not_before), if not_before.is_some() => not_before = pace.take(Instant::now()).err(),
            request = requests.next(), if not_before.is_none() => match request {
                Some(Ok(request)) => {
                    // Not counted by tokio's budget for a task: once that is spent, each of thousands that are ready
                    // would be polled in vain again and again.
                    answers.push(unconstrained(request.execute(agent.clone().serve())));
                    not_before = pace.take(Instant::now()).err();
                }
                Some(Err(error)) => {
                    debug!(%error, "connection ended");
                    return;
                }
                None => return,
            },
            Some(()) = answers.next() => {}
        }
    }
}

async fn until(when: Option<Instant>) {
    if let Some(when) = when {
        sleep_until(when).await;
    }
}
