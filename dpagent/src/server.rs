//! The RPCs on the agent's socket.
//!
//! [`serve`] accepts; each connection has a task of its own, which carries all requests of that connection and ends
//! with it. Any of them may be aborted at any time: what they ask of VPP is done by the task of [`Vpp`].

mod hangup;
mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_protocol::codec::{ServerCodec, framing};
use maglev_protocol::{
    Agent, AgentError, AgentHello, AgentRequest, AgentResponse, BrainHello, ConfReport, LbConfSpec, LbState,
    PROTOCOL_VERSION, SyncReport, VipKey, VipSpec, VppInfo,
};
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel, Config};
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use crate::vpp::Vpp;
use crate::{conf, reconcile};
use hangup::HangUp;
pub use listen::{ListenError, Listener};

/// Connections at once: a brain, its successor, and some operators' tools. Further ones are closed at once.
pub const MOST_CONNECTIONS: usize = 16;
/// Requests in flight on a connection. Further ones are refused, which the brain takes for a passing fault.
pub const MOST_REQUESTS: usize = 64;
/// Answers that wait to be written, beyond which those who answer wait.
const ANSWERS: usize = MOST_REQUESTS;
/// How long before its deadline a wait without an event is answered, so that the answer is in time.
const BEFORE_DEADLINE: Duration = Duration::from_millis(500);
/// Pause when accepting fails, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves RPCs for ever.
pub async fn serve(listener: Listener, vpp: Vpp) {
    let instance = fastrand::u64(..);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            warn!(most = MOST_CONNECTIONS, "too many connections: one more was closed");
            continue;
        };
        let agent = Connection { vpp: vpp.clone(), instance, greeted: Arc::default() };
        tokio::spawn(async move {
            connection(stream, agent).await;
            drop(place);
        });
    }
}

async fn connection(stream: UnixStream, agent: Connection) {
    let codec = ServerCodec::<AgentRequest, AgentResponse>::default();
    let transport = HangUp(tarpc::serde_transport::new(Framed::new(stream, framing()), codec));
    let channel = BaseChannel::new(Config { pending_response_buffer: ANSWERS }, transport);
    let requests = channel.max_concurrent_requests(MOST_REQUESTS).requests();
    tokio::pin!(requests);
    let mut answers = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(Ok(request)) => answers.push(request.execute(agent.clone().serve())),
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

/// One connection's view of the agent.
#[derive(Debug, Clone)]
struct Connection {
    vpp: Vpp,
    instance: u64,
    greeted: Arc<AtomicBool>,
}

impl Connection {
    /// A peer that has not shown that it speaks the same protocol may mean something else by its calls.
    fn must_have_greeted(&self) -> Result<(), AgentError> {
        if self.greeted.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(AgentError::Contradiction("the first call on a connection must be hello, and succeed".to_owned()))
    }
}

impl Agent for Connection {
    async fn hello(self, _: Context, brain: BrainHello) -> Result<AgentHello, AgentError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        if brain.protocol != PROTOCOL_VERSION {
            warn!(
                parent: None, version = brain.version, protocol = brain.protocol,
                "a brain of another protocol was refused"
            );
            return Err(AgentError::Protocol {
                agent: PROTOCOL_VERSION,
                brain: brain.protocol,
                agent_version: version,
            });
        }
        if !self.greeted.swap(true, Ordering::Relaxed) {
            info!(parent: None, version = brain.version, instance = brain.instance, "brain connected");
        }
        let vpp = self.vpp.info();
        Ok(AgentHello { protocol: PROTOCOL_VERSION, version, instance: self.instance, vpp })
    }

    async fn sync_vip(self, _: Context, wanted: VipSpec) -> Result<SyncReport, AgentError> {
        self.must_have_greeted()?;
        let key = wanted.key;
        wanted.validate().map_err(|error| AgentError::Invalid { key, error })?;
        self.vpp.sync_vip(wanted).await
    }

    async fn sync_all(
        self,
        _: Context,
        wanted: Vec<VipSpec>,
        keep: Vec<VipKey>,
    ) -> Result<SyncReport, AgentError> {
        self.must_have_greeted()?;
        self.vpp.sync_all(reconcile::check(wanted, keep)?).await
    }

    async fn lb_conf(self, _: Context, wanted: LbConfSpec) -> Result<ConfReport, AgentError> {
        self.must_have_greeted()?;
        conf::check(&wanted)?;
        self.vpp.lb_conf(wanted).await
    }

    async fn lb_state(self, _: Context) -> Result<LbState, AgentError> {
        self.vpp.lb_state().await
    }

    async fn vpp_info(self, _: Context) -> VppInfo {
        self.vpp.info()
    }

    async fn wait_change(self, context: Context, seen: u64) -> VppInfo {
        let deadline = Instant::from_std(context.deadline);
        let time = deadline.saturating_duration_since(Instant::now());
        // Of a short time, most is waited nevertheless.
        let until = deadline.checked_sub(BEFORE_DEADLINE.min(time / 4)).unwrap_or(deadline);
        timeout_at(until, self.vpp.change_from(seen)).await.unwrap_or_else(|_| self.vpp.info())
    }
}
