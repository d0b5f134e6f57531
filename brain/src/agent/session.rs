//! One connection to the agent, from hello to its end.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use maglev_daemon::until;
use maglev_engine::agent::{AgentEvent, CallError};
use maglev_engine::desired::{ViewId, Wanted};
use maglev_engine::syncs::{Answer, Call, Sent, Syncs};
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{
    AgentClient, AgentError, AgentHello, AgentInfo, BrainHello, Liveness, PROTOCOL_VERSION, VipSpec, VppInfo,
};
use tarpc::client::{Config, NewClient, RpcError};
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::calls::{CALL, FULL, WAIT, WAIT_LIVENESS, flatten, transport, within};
use super::received::Received;

/// Why a connection ended.
pub(super) enum End {
    /// The controller has ended, so the process is shutting down.
    ControllerGone,
    /// The agent is disconnected, for this reason.
    Agent(String),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Agent(error.to_string())
    }
}

/// A connection past hello.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: AgentClient,
    pub(super) hello: AgentHello,
    /// Transfers requests and answers. Ends with the connection, or with the client's last clone.
    pub(super) task: JoinHandle<()>,
}

/// Connects and says hello.
pub(super) async fn connect(socket: &Path, instance: u64, config: Config) -> Result<Connection, End> {
    let stream = match timeout(CALL, UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(End::Agent(format!(
                "cannot connect to the agent's socket {}: {error}",
                socket.display()
            )));
        }
        Err(_) => {
            return Err(End::Agent(format!(
                "the agent's socket {} does not accept connections",
                socket.display()
            )));
        }
    };
    let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
    let NewClient { client, dispatch } = AgentClient::new(config, transport);
    // Otherwise tarpc would log a line for every call in flight when the connection breaks; the callers get
    // errors anyway.
    let task = tokio::spawn(dispatch.map(drop).with_subscriber(NoSubscriber::default()));
    let brain =
        BrainHello { protocol: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION").to_owned(), instance };
    let hello = flatten(client.hello(within(CALL), brain).await)?;
    if hello.protocol != PROTOCOL_VERSION {
        let AgentHello { protocol: agent, version: agent_version, .. } = hello;
        let error = AgentError::Protocol { agent, brain: PROTOCOL_VERSION, agent_version };
        return Err(CallError::Agent(error).into());
    }
    Ok(Connection { client, hello, task })
}

/// Connects, and requests the agent's details.
pub(super) async fn greet(socket: &Path, instance: u64) -> Result<(AgentClient, AgentHello, AgentInfo), End> {
    let Connection { client, hello, .. } = connect(socket, instance, Config::default()).await?;
    let info = flatten(client.agent_info(within(CALL)).await)?;
    Ok((client, hello, info))
}

/// One connection to the agent, from its hello to its end.
pub(super) struct Session<'a> {
    pub(super) client: &'a AgentClient,
    pub(super) events: &'a mpsc::Sender<AgentEvent>,
    /// The latest look at VPP, over all connections.
    pub(super) view: &'a mut ViewId,
}

impl Session<'_> {
    /// Brings VPP to the newest desired state until the connection ends.
    pub(super) async fn run(self, hello: AgentHello, wanted: &mut watch::Receiver<Arc<Wanted>>) -> End {
        let first = Arc::clone(&wanted.borrow_and_update());
        let mut syncs = Syncs::new(first, *self.view, Instant::now().into_std());
        let Err(end) = self.drive(&mut syncs, hello.vpp, wanted).await;
        *self.view = syncs.view();
        end
    }

    async fn drive(
        &self,
        syncs: &mut Syncs,
        vpp: VppInfo,
        wanted: &mut watch::Receiver<Arc<Wanted>>,
    ) -> Result<Infallible, End> {
        let mut seen = vpp.generation;
        // Before deciding on probes that fail because VPP hangs. No generation equals the maximum, so this
        // returns at once.
        let heard = self.wait_liveness(u64::MAX).await?;
        self.tell(syncs.vpp_changed(vpp, Instant::now().into_std())).await?;
        for event in syncs.liveness(heard, Instant::now().into_std()) {
            self.tell(Some(event)).await?;
        }
        let mut change = self.wait_change(seen);
        let mut liveness = self.wait_liveness(heard.generation);
        let mut calls = FuturesUnordered::new();
        loop {
            while let Some(sent) = syncs.next(Instant::now().into_std()) {
                calls.push(self.carry_out(sent));
            }
            tokio::select! {
                info = &mut change => {
                    let info = info?;
                    if info.generation != seen {
                        seen = info.generation;
                        self.tell(syncs.vpp_changed(info, Instant::now().into_std())).await?;
                    }
                    change = self.wait_change(seen);
                }
                heard = &mut liveness => {
                    let heard = heard?;
                    for event in syncs.liveness(heard, Instant::now().into_std()) {
                        self.tell(Some(event)).await?;
                    }
                    liveness = self.wait_liveness(heard.generation);
                }
                Some((sent, answer)) = calls.next() => {
                    let event = syncs.answered(sent, answer, Instant::now().into_std(), fastrand::f64())?;
                    self.tell(event).await?;
                }
                changed = wanted.changed() => {
                    changed.map_err(|_| End::ControllerGone)?;
                    let target = Arc::clone(&wanted.borrow_and_update());
                    syncs.want(target, Instant::now().into_std());
                }
                () = until(syncs.due()) => {}
            }
        }
    }

    /// Long poll at the agent until VPP connects, disconnects or restarts. Also notices the agent's end.
    fn wait_change(&self, seen: u64) -> BoxFuture<'static, Result<VppInfo, CallError>> {
        let client = self.client.clone();
        keep_asking(move || {
            let client = client.clone();
            async move { client.wait_change(within(WAIT), seen).await }
        })
    }

    /// Long poll at the agent until VPP falls silent or answers again.
    fn wait_liveness(&self, seen: u64) -> BoxFuture<'static, Result<Liveness, CallError>> {
        let client = self.client.clone();
        keep_asking(move || {
            let client = client.clone();
            async move { client.wait_liveness(within(WAIT_LIVENESS), seen).await }
        })
    }

    /// Makes a call, and returns it with its answer.
    async fn carry_out(&self, sent: Sent) -> (Sent, Answer) {
        let client = self.client;
        let answer = match &sent.call {
            Call::Programmed => Answer::Programmed(flatten(client.programmed(within(CALL)).await)),
            Call::Conf(conf) => Answer::Conf(flatten(client.lb_conf(within(CALL), *conf).await)),
            Call::All { specs, keep, .. } => {
                let whole = specs.iter().map(|spec| VipSpec::clone(spec)).collect();
                Answer::Sync(flatten(client.sync_all(within(FULL), whole, keep.clone()).await))
            }
            Call::Vip { spec, demanded } => {
                let demands = demanded.as_ref().map(|demanded| demanded.demands.clone()).unwrap_or_default();
                Answer::Sync(flatten(client.sync_vip(within(CALL), VipSpec::clone(spec), demands).await))
            }
        };
        (sent, answer)
    }

    async fn tell(&self, event: Option<AgentEvent>) -> Result<(), End> {
        match event {
            Some(event) => self.events.send(event).await.map_err(|_| End::ControllerGone),
            None => Ok(()),
        }
    }
}

fn keep_asking<T, F>(ask: impl Fn() -> F + Send + 'static) -> BoxFuture<'static, Result<T, CallError>>
where
    F: Future<Output = Result<T, RpcError>> + Send,
    T: Received + Send,
{
    async move {
        loop {
            match ask().await.map_err(transport) {
                // The agent's answer just missed the deadline: poll again.
                Err(CallError::Timeout) => {}
                result => return result.map(Received::cleaned),
            }
        }
    }
    .boxed()
}
