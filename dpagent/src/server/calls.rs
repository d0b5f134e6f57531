//! The RPCs, each checked before it reaches VPP's task.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use maglev_protocol::{
    Agent, AgentError, AgentHello, AgentInfo, AgentPolicy, AgentRequest, AgentResponse, BrainHello,
    ConfReport, Counters, Demands, EchoOutcome, EchoRequest, HostRoutes, LEASE, LbConfSpec, LbState, Legal,
    Liveness, MOST_TUNNEL_TARGETS, PROTOCOL_VERSION, Prefix, Programmed, RoutesSpec, SyncReport,
    TunnelReport, TunnelTarget, VERSION_LENGTH, VipKey, VipSpec, VppInfo, printable, remedy,
};
use serde::Serialize;
use tarpc::context::Context;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::notices::Kind;
use super::room::{Held, Room, Share};
use super::seats::Session;
use super::{Gate, Process, Shared};
use crate::icmp::EchoError;
use crate::policy::Policy;
use crate::tunnel::Tunnel;
use crate::writer::{Candidate, Taken};
use crate::{execute, reconcile};

/// How long before its deadline a long poll is answered, so that the answer arrives in time.
const BEFORE_DEADLINE: Duration = Duration::from_millis(500);

/// One connection's access to the agent.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Arc<Session>,
    /// Memory for this connection's unread answers.
    pub(super) room: Room,
    /// Memory that this call's answer takes; each call has its own.
    pub(super) held: Arc<Held>,
}

impl Connection {
    /// The error for a call that is not allowed on this connection at this point, if so.
    pub(super) fn refuses(&self, request: &AgentRequest) -> Option<AgentResponse> {
        match request.legal() {
            Legal::Always => None,
            Legal::AfterHello(refuse) => self.brain().err().map(refuse),
            Legal::WriterOnly(refuse) => self.must_be_the_writer().err().map(refuse),
        }
    }

    /// Calls are refused before hello: with another protocol, they might mean something else.
    fn brain(&self) -> Result<&BrainHello, AgentError> {
        self.session.brain().ok_or_else(|| {
            AgentError::Contradiction("the first call on a connection must be hello, and succeed".to_owned())
        })
    }

    fn must_be_the_writer(&self) -> Result<(), AgentError> {
        let Session { number, peer, .. } = *self.session;
        let brain = self.brain()?.clone();
        let version = brain.version.clone();
        let candidate = Candidate { connection: number, brain, peer };
        let notices = &self.shared.notices;
        let taken = self.shared.writer().take(&candidate, Instant::now().into_std())?;
        if let Taken::Expired(former) = taken {
            notices.note(Kind::LeaseOver, former, format!("{} s", LEASE.as_secs()));
        }
        if taken != Taken::Before {
            notices.note(Kind::Writes, peer, format!("version {version}, connection {number}"));
        }
        Ok(())
    }

    /// The share of memory that this connection belongs to.
    fn share(&self) -> &Share {
        let Shared { writers_share, readers_share, .. } = &*self.shared;
        if self.shared.is_writers(&self.session) { writers_share } else { readers_share }
    }

    /// A permit for a call to VPP, held for as long as it lasts.
    fn vpp_call(&self) -> Result<SemaphorePermit<'_>, AgentError> {
        let Share { calls, most_calls, .. } = self.share();
        calls.try_acquire().map_err(|_| AgentError::TooMany {
            what: "calls to VPP at once".to_owned(),
            most: *most_calls as u64,
        })
    }

    fn tunnel(&self) -> Result<&Tunnel, AgentError> {
        let tunnel = self.shared.gate.tunnel.as_ref();
        tunnel.map_err(|reason| AgentError::NoTunnel { reason: reason.clone() })
    }

    /// Returns the answer if there is memory for it until it is read.
    fn hold<T: Serialize>(&self, answer: Result<T, AgentError>) -> Result<T, AgentError> {
        self.held.hold(answer?, &self.room, self.share())
    }
}

impl Agent for Connection {
    async fn hello(self, _: Context, brain: BrainHello) -> Result<AgentHello, AgentError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let Shared { vpp, instance, notices, refused, .. } = &*self.shared;
        let Session { number, peer, .. } = *self.session;
        let brain = BrainHello { version: printable(&brain.version, VERSION_LENGTH), ..brain };
        if brain.protocol != PROTOCOL_VERSION {
            // Such a brain retries over several connections: logged once.
            let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.replace(brain.instance) != Some(brain.instance) {
                let detail = format!(
                    "brain {} speaks protocol {}, this agent {PROTOCOL_VERSION}: {}",
                    brain.version,
                    brain.protocol,
                    remedy(PROTOCOL_VERSION, brain.protocol)
                );
                notices.note(Kind::OtherProtocol, peer, detail);
            }
            return Err(AgentError::Protocol {
                agent: PROTOCOL_VERSION,
                brain: brain.protocol,
                agent_version: version,
            });
        }
        let detail = format!("version {}, connection {number}", brain.version);
        if self.session.greet(brain) {
            notices.note(Kind::Connected, peer, detail);
        }
        Ok(AgentHello { protocol: PROTOCOL_VERSION, version, instance: *instance, vpp: vpp.info() })
    }

    async fn sync_vip(self, _: Context, wanted: VipSpec, demands: Demands) -> Result<SyncReport, AgentError> {
        execute::check_vip(&wanted, &self.shared.gate.policy.current())?;
        let _call = self.vpp_call()?;
        let room = self.shared.wanted.want(&(&wanted, &demands))?;
        self.hold(Box::pin(self.shared.vpp.sync_vip(wanted, demands, room)).await)
    }

    async fn sync_all(
        self,
        _: Context,
        wanted: Vec<VipSpec>,
        keep: Vec<VipKey>,
    ) -> Result<SyncReport, AgentError> {
        let room = self.shared.wanted.want(&(&wanted, &keep))?;
        let wanted = reconcile::check(wanted, keep)?;
        let _call = self.vpp_call()?;
        self.hold(Box::pin(self.shared.vpp.sync_all(wanted, room)).await)
    }

    async fn lb_conf(self, _: Context, wanted: LbConfSpec) -> Result<ConfReport, AgentError> {
        execute::check_conf(&wanted, &self.shared.gate.policy.current())?;
        let _call = self.vpp_call()?;
        Box::pin(self.shared.vpp.lb_conf(wanted)).await
    }

    async fn lb_state(self, _: Context) -> Result<LbState, AgentError> {
        let _call = self.vpp_call()?;
        self.hold(self.shared.vpp.lb_state().await)
    }

    async fn vpp_info(self, _: Context) -> VppInfo {
        self.shared.vpp.info()
    }

    async fn wait_change(self, context: Context, seen: u64) -> VppInfo {
        let vpp = &self.shared.vpp;
        timeout_at(wait_until(&context), vpp.change_from(seen)).await.unwrap_or_else(|_| vpp.info())
    }

    async fn counters(self, _: Context, servers: bool) -> Result<Counters, AgentError> {
        let _call = self.vpp_call()?;
        self.hold(self.shared.vpp.counters(servers).await)
    }

    async fn icmp_echo(self, _: Context, request: EchoRequest) -> Result<EchoOutcome, AgentError> {
        let Shared { gate, echoes, .. } = &*self.shared;
        let target = request.target;
        let policy = gate.policy.current();
        if !gate.tunnel.as_ref().is_ok_and(|tunnel| tunnel.carries(request.source, target)) {
            // It would go past the tunnel, and its answer say nothing.
            let lent =
                |source| policy.tunnel_probes.iter().any(|prefix| prefix.covers(&Prefix::host(source)));
            if let Some(source) = request.source.filter(|source| lent(*source)) {
                let reason = format!("{source} is no probe address of this target at present");
                return Err(AgentError::Echo { target, reason });
            }
            policy.check_ping(target)?;
        }
        let per_second = policy.limits.echo_requests_per_second;
        let pinger =
            gate.pinger.as_ref().map_err(|reason| AgentError::Echo { target, reason: reason.clone() })?;
        let room = echoes.lock().unwrap_or_else(PoisonError::into_inner).take(per_second, Instant::now());
        room.map_err(|_| AgentError::TooMany {
            what: "echo requests in a second".to_owned(),
            most: per_second.into(),
        })?;
        pinger.echo(request).await.map_err(|error| match error {
            EchoError::TooMany { most, .. } => {
                AgentError::TooMany { what: "echo requests at once".to_owned(), most: most as u64 }
            }
            error => AgentError::Echo { target, reason: error.to_string() },
        })
    }

    async fn programmed(self, _: Context) -> Result<Programmed, AgentError> {
        let _call = self.vpp_call()?;
        self.hold(self.shared.vpp.programmed().await)
    }

    async fn agent_info(self, _: Context) -> Result<AgentInfo, AgentError> {
        let Process { pid, started } = self.shared.gate.process;
        let Gate { policy, pinger, .. } = &self.shared.gate;
        let Policy { source, vips, servers, .. } = &*policy.current();
        let policy = AgentPolicy { source: source.clone(), vips: vips.clone(), servers: servers.clone() };
        Ok(AgentInfo { pid, started, no_echo: pinger.as_ref().err().cloned(), policy })
    }

    async fn tunnel(
        self,
        _: Context,
        targets: Vec<TunnelTarget>,
    ) -> Result<Vec<Result<IpAddr, AgentError>>, AgentError> {
        let tunnel = Connection::tunnel(&self)?;
        if targets.len() > MOST_TUNNEL_TARGETS {
            return Err(AgentError::TooMany {
                what: "targets of probes through the tunnel".to_owned(),
                most: MOST_TUNNEL_TARGETS as u64,
            });
        }
        self.hold(Ok(tunnel.set(self.session.number, &targets)))
    }

    async fn tunnel_report(self, _: Context, source: IpAddr) -> Result<TunnelReport, AgentError> {
        Connection::tunnel(&self)?.report(self.session.number, source)
    }

    async fn wait_liveness(self, context: Context, seen: u64) -> Liveness {
        let vpp = &self.shared.vpp;
        timeout_at(wait_until(&context), vpp.liveness_from(seen)).await.unwrap_or_else(|_| vpp.liveness())
    }

    async fn host_routes(self, _: Context, wanted: RoutesSpec) -> Result<HostRoutes, AgentError> {
        let Gate { policy, routes, .. } = &self.shared.gate;
        let policy = policy.current();
        policy.check_routes(&wanted)?;
        let _room = self.shared.wanted.want(&wanted)?;
        let routes = routes.as_ref().map_err(|reason| AgentError::NoRoutes { reason: reason.clone() })?;
        self.hold(routes.sync(wanted, &policy))
    }
}

/// When to answer a long poll without an event.
fn wait_until(context: &Context) -> Instant {
    let deadline = Instant::from_std(context.deadline);
    let time = deadline.saturating_duration_since(Instant::now());
    // With a short deadline, three quarters of it are used for waiting.
    deadline.checked_sub(BEFORE_DEADLINE.min(time / 4)).unwrap_or(deadline)
}
