use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use maglev_engine::desired::Demand;
use maglev_protocol::codec::{ServerCodec, framing};
use maglev_protocol::{
    Agent, AgentError, AgentHello, AgentInfo, AgentPolicy, BrainHello, ConfReport, Counters, Demands,
    EchoOutcome, EchoRequest, HostRoute, HostRoutes, LEASE, LbConf, LbConfSpec, LbState, Liveness,
    PROTOCOL_VERSION, Programmed, RoutesSpec, ServerSpec, SyncReport, TunnelReport, TunnelTarget, VipKey,
    VipSpec, VppInfo, VppState,
};
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::agent::{EchoSender, echo_queue};

/// A call received by the fake agent.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Conf,
    All { wanted: Vec<VipKey>, keep: Vec<VipKey> },
    Vip(VipKey),
}

/// An agent that records its calls, and whose VPP connects and disconnects as the test directs.
#[derive(Clone)]
pub(crate) struct FakeAgent {
    calls: Arc<Mutex<Vec<Call>>>,
    vpp: watch::Receiver<VppInfo>,
    protocol: u32,
    /// Whether syncs are answered with an error.
    pub(crate) failing: Arc<Mutex<bool>>,
    /// The answer to syncs.
    pub(crate) report: Arc<Mutex<SyncReport>>,
    /// Whether it claims that another brain is the writer.
    another_writes: Arc<Mutex<bool>>,
    /// Whether it refuses the settings.
    refusing_conf: Arc<Mutex<bool>>,
    /// Whether full syncs are held up.
    syncs_held: watch::Receiver<bool>,
    echoing: watch::Receiver<Echoing>,
    /// Whether reads of VPP's state are held up.
    reads_held: watch::Receiver<bool>,
    /// Number of reads of VPP's state.
    reads: Arc<AtomicUsize>,
    /// Number of connections past hello.
    hellos: Arc<AtomicUsize>,
    /// Number of waits for VPP to fall silent.
    signs_of_life: Arc<AtomicUsize>,
    /// Number of echo requests.
    echoes: Arc<AtomicUsize>,
    /// Packets sent through the tunnel.
    pub(super) tunnelled: Arc<AtomicUsize>,
}

/// How the fake agent treats echo requests.
#[derive(Clone)]
pub(super) enum Echoing {
    Answer(Result<EchoOutcome, AgentError>),
    /// Holds them until directed otherwise.
    Hold,
}

impl FakeAgent {
    fn answer(&self, call: Call) -> Result<SyncReport, AgentError> {
        self.calls.lock().unwrap().push(call);
        if *self.failing.lock().unwrap() {
            return Err(AgentError::VppLost { reason: "test".into() });
        }
        Ok(self.report.lock().unwrap().clone())
    }

    /// Number of calls so far, except reads.
    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    pub(crate) fn new(vpp: VppInfo, protocol: u32) -> (Self, Levers) {
        let (vpp, vpp_seen) = watch::channel(vpp);
        let (hold_syncs, syncs_held) = watch::channel(false);
        let (hold_reads, reads_held) = watch::channel(false);
        let (echoing, echoing_seen) = watch::channel(Echoing::Hold);
        let agent = Self {
            calls: Arc::default(),
            vpp: vpp_seen,
            protocol,
            failing: Arc::default(),
            report: Arc::default(),
            another_writes: Arc::default(),
            refusing_conf: Arc::default(),
            syncs_held,
            echoing: echoing_seen,
            reads_held,
            reads: Arc::default(),
            hellos: Arc::default(),
            signs_of_life: Arc::default(),
            echoes: Arc::default(),
            tunnelled: Arc::default(),
        };
        (agent, Levers { vpp, syncs_held: hold_syncs, reads_held: hold_reads, echoing })
    }
}

/// Controls of a fake agent.
pub(crate) struct Levers {
    pub(crate) vpp: watch::Sender<VppInfo>,
    pub(crate) syncs_held: watch::Sender<bool>,
    reads_held: watch::Sender<bool>,
    echoing: watch::Sender<Echoing>,
}

impl Agent for FakeAgent {
    async fn hello(self, _: Context, _: BrainHello) -> Result<AgentHello, AgentError> {
        self.hellos.fetch_add(1, Ordering::Relaxed);
        let vpp = self.vpp.borrow().clone();
        Ok(AgentHello { protocol: self.protocol, version: "9.9".into(), instance: 1, vpp })
    }

    async fn sync_vip(self, _: Context, wanted: VipSpec, _: Demands) -> Result<SyncReport, AgentError> {
        self.answer(Call::Vip(wanted.key))
    }

    async fn sync_all(
        self,
        _: Context,
        wanted: Vec<VipSpec>,
        keep: Vec<VipKey>,
    ) -> Result<SyncReport, AgentError> {
        let mut held = self.syncs_held.clone();
        held.wait_for(|held| !held).await.unwrap();
        self.answer(Call::All { wanted: wanted.iter().map(|spec| spec.key).collect(), keep })
    }

    async fn lb_conf(self, _: Context, _: LbConfSpec) -> Result<ConfReport, AgentError> {
        self.calls.lock().unwrap().push(Call::Conf);
        if *self.another_writes.lock().unwrap() {
            return Err(AgentError::AnotherWriter { version: "1.0".into(), pid: None, seconds: 1 });
        }
        if *self.refusing_conf.lock().unwrap() {
            return Err(AgentError::Refused { step: "set".into(), code: -1, meaning: "test".into() });
        }
        let now = conf();
        Ok(ConfReport { changed: false, before: now, now, pinned_flows_lost: false, drifted: false })
    }

    async fn lb_state(mut self, _: Context) -> Result<LbState, AgentError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.reads_held.wait_for(|held| !held).await.unwrap();
        Ok(LbState { conf: conf(), vips: vec![], age: Duration::ZERO })
    }

    async fn vpp_info(self, _: Context) -> VppInfo {
        self.vpp.borrow().clone()
    }

    async fn counters(self, _: Context, _: bool) -> Result<Counters, AgentError> {
        Err(AgentError::NoStats { reason: "test".into() })
    }

    async fn icmp_echo(mut self, _: Context, _: EchoRequest) -> Result<EchoOutcome, AgentError> {
        self.echoes.fetch_add(1, Ordering::Relaxed);
        let echoing = self.echoing.wait_for(|echoing| matches!(echoing, Echoing::Answer(_))).await;
        let Echoing::Answer(answer) = echoing.unwrap().clone() else { unreachable!() };
        answer
    }

    async fn programmed(self, _: Context) -> Result<Programmed, AgentError> {
        Ok(Programmed::default())
    }

    async fn agent_info(self, _: Context) -> Result<AgentInfo, AgentError> {
        Ok(INFO)
    }

    async fn wait_change(mut self, _: Context, seen: u64) -> VppInfo {
        self.vpp.wait_for(|info| info.generation != seen).await.map(|info| info.clone()).unwrap()
    }

    /// Refuses targets on 10.0.0.9.
    async fn tunnel(
        self,
        _: Context,
        targets: Vec<TunnelTarget>,
    ) -> Result<Vec<Result<IpAddr, AgentError>>, AgentError> {
        let given = |(n, target): (u8, TunnelTarget)| match target.server == IpAddr::from([10, 0, 0, 9]) {
            true => Err(AgentError::NoTunnel { reason: "test".into() }),
            false => Ok([10, 255, 0, n].into()),
        };
        Ok((1..).zip(targets).map(given).collect())
    }

    async fn tunnel_report(self, _: Context, _: IpAddr) -> Result<TunnelReport, AgentError> {
        let sent = self.tunnelled.load(Ordering::Relaxed) as u64;
        Ok(TunnelReport { sent, ..TunnelReport::default() })
    }

    async fn wait_liveness(self, _: Context, seen: u64) -> Liveness {
        self.signs_of_life.fetch_add(1, Ordering::Relaxed);
        let now = Liveness::default();
        if seen == now.generation { std::future::pending().await } else { now }
    }

    async fn host_routes(self, _: Context, wanted: RoutesSpec) -> Result<HostRoutes, AgentError> {
        let routes =
            wanted.routes.into_iter().filter_map(|(address, route)| Some((address, route?))).collect();
        Ok(HostRoutes { table: 10, routes, changed: Vec::new(), refused: Some("a\nb".into()) })
    }
}

const INFO: AgentInfo =
    AgentInfo { pid: 77, started: 1_700_000_000, no_echo: None, policy: AgentPolicy::NONE };

fn conf() -> LbConf {
    LbConf {
        ip4_src_address: [192, 0, 2, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    }
}

pub(crate) fn connected(generation: u64) -> VppInfo {
    VppInfo { generation, state: VppState::sample(1, None) }
}

pub(crate) fn serve(socket: &Path, agent: FakeAgent) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let transport =
                tarpc::serde_transport::new(Framed::new(stream, framing()), ServerCodec::default());
            let agent = agent.clone();
            connections.spawn(async move {
                let channel = BaseChannel::with_defaults(transport);
                channel.execute(agent.serve()).for_each_concurrent(None, |answer| answer).await;
            });
        }
    })
}

fn key(last: u8) -> VipKey {
    VipKey::port([203, 0, 113, last].into(), 6, 80)
}

pub(super) fn spec(last: u8, weight: u8) -> Arc<VipSpec> {
    Arc::new(VipSpec {
        key: key(last),
        encap: maglev_protocol::Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: [([10, 0, 0, 1].into(), ServerSpec { weight, flush: false })].into(),
    })
}

fn weight_of(spec: &VipSpec) -> u64 {
    spec.servers.values().map(|server| u64::from(server.weight)).sum()
}

pub(super) fn wanted(specs: &[Arc<VipSpec>], keep: &[VipKey]) -> Arc<Wanted> {
    let conf = LbConfSpec {
        ip4_src_address: None,
        ip6_src_address: None,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    let vips: BTreeMap<_, _> = specs.iter().map(|spec| (spec.key, Arc::clone(spec))).collect();
    let keep: BTreeSet<_> = keep.iter().copied().collect();
    Arc::new(Wanted {
        view: None,
        conf,
        // Another weight counts as another decision.
        decided: specs.iter().map(|spec| (spec.key, weight_of(spec))).collect(),
        decisions: 0,
        vips: vips.into(),
        keep: keep.into(),
        demands: imbl::OrdMap::new(),
        full: None,
        sync_interval: Duration::from_secs(3600),
    })
}

/// A client, its fake agent, and what a test needs to control both.
pub(super) struct Bench {
    directory: tempfile::TempDir,
    agent: FakeAgent,
    server: JoinHandle<()>,
    vpp: watch::Sender<VppInfo>,
    wanted: watch::Sender<Arc<Wanted>>,
    events: mpsc::Receiver<AgentEvent>,
    pub(super) reader: AgentReader,
    link: AgentLink,
    pub(super) reads_held: watch::Sender<bool>,
    pub(super) syncs_held: watch::Sender<bool>,
    pub(super) echoing: watch::Sender<Echoing>,
    pub(super) echoes: EchoSender,
    _task: JoinHandle<()>,
}

impl Bench {
    pub(super) fn start(first: Arc<Wanted>, vpp: VppInfo, protocol: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent.sock");
        let (agent, Levers { vpp, syncs_held, reads_held, echoing }) = FakeAgent::new(vpp, protocol);
        let server = serve(&socket, agent.clone());
        let (wanted, wishes) = watch::channel(first);
        let (sender, events) = mpsc::channel(64);
        let (echoes, asks) = echo_queue();
        let (reader, link, _task) =
            start(socket, 42, wishes, sender, asks, &tokio::runtime::Handle::current());
        Self {
            directory,
            agent,
            server,
            vpp,
            wanted,
            events,
            reader,
            link,
            reads_held,
            syncs_held,
            echoing,
            echoes,
            _task,
        }
    }

    /// Stops the agent, and closes every connection to it.
    pub(super) async fn stop_agent(&mut self) {
        self.server.abort();
        assert!((&mut self.server).await.unwrap_err().is_cancelled());
        std::fs::remove_file(self.directory.path().join("agent.sock")).unwrap();
    }

    pub(super) fn start_agent(&mut self) {
        self.server = serve(&self.directory.path().join("agent.sock"), self.agent.clone());
    }

    /// Makes the client sync everything.
    pub(super) fn vpp_restarts(&self) {
        let generation = self.vpp.borrow().generation + 1;
        self.vpp.send_replace(connected(generation));
    }

    /// Number of reads of VPP's state that reached the agent.
    pub(super) fn reads(&self) -> usize {
        self.agent.reads.load(Ordering::Relaxed)
    }

    /// Number of connections past hello.
    pub(super) fn hellos(&self) -> usize {
        self.agent.hellos.load(Ordering::Relaxed)
    }

    /// Waits until so many echo requests have reached the agent since the bench started.
    pub(super) async fn echoes_came(&self, count: usize) {
        let came = async {
            while self.agent.echoes.load(Ordering::Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), came).await.expect("the echo requests did not come");
    }

    /// Sets another desired state, for the VPP seen last.
    fn want(&self, wanted: Arc<Wanted>) {
        let view = self.wanted.borrow().view;
        self.wanted.send_replace(Arc::new(Wanted { view, ..Wanted::clone(&wanted) }));
    }

    /// The next event that matches; others are skipped. Like the controller, it lets the desired state be
    /// written to every VPP that is seen.
    async fn event(&mut self, is: impl Fn(&AgentEvent) -> bool) -> AgentEvent {
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if let AgentEvent::Vpp { programmed: Some((view, _)), .. } = &event {
                    self.wanted.send_modify(|wanted| Arc::make_mut(wanted).view = Some(*view));
                }
                if is(&event) {
                    return event;
                }
            }
        };
        timeout(Duration::from_secs(20), search).await.expect("the event did not come")
    }

    pub(super) async fn synced(&mut self) -> AgentEvent {
        self.event(|event| matches!(event, AgentEvent::Synced { .. })).await
    }

    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.agent.calls.lock().unwrap())
    }
}

fn all(wanted: &[VipKey], keep: &[VipKey]) -> Call {
    Call::All { wanted: wanted.to_vec(), keep: keep.to_vec() }
}

#[tokio::test]
async fn everything_is_synced_on_connecting_and_one_vip_when_it_changes() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[key(2)]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Conf, all(&[key(1)], &[key(2)])]);
    // Released, without a full sync.
    bench.want(wanted(&[spec(1, 1), spec(2, 1)], &[]));
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Vip(key(2))]);
    bench.want(wanted(&[spec(1, 0), spec(2, 1)], &[]));
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Vip(key(1))]);
    // Only a full sync removes a VIP.
    bench.want(wanted(&[spec(1, 0)], &[]));
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Conf, all(&[key(1)], &[])]);
}

#[tokio::test]
async fn burst_ends_in_one_sync_of_the_newest_state() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    for weight in [2, 3, 4, 5, 6] {
        bench.want(wanted(&[spec(1, weight)], &[]));
    }
    let AgentEvent::Synced { specs, .. } = bench.synced().await else { unreachable!() };
    assert_eq!(specs, [spec(1, 6)]);
    assert_eq!(bench.calls(), [Call::Vip(key(1))]);
}

#[tokio::test]
async fn vpp_that_restarts_gets_everything_again() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    let gone = VppState::Disconnected { reason: "gone".into(), silent_ms: 0 };
    bench.vpp.send_replace(VppInfo { generation: 2, state: gone });
    bench.event(|event| matches!(event, AgentEvent::Vpp { info, .. } if info.generation == 2)).await;
    bench.want(wanted(&[spec(1, 7)], &[]));
    bench.vpp.send_replace(connected(3));
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Conf, all(&[key(1)], &[])], "and nothing while it was away");
}

#[tokio::test]
async fn agent_that_restarts_gets_everything_again() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    bench.stop_agent().await;
    bench.event(|event| matches!(event, AgentEvent::Disconnected { .. })).await;
    bench.start_agent();
    bench.synced().await;
    assert_eq!(bench.calls(), [Call::Conf, all(&[key(1)], &[])]);
}

#[tokio::test(start_paused = true)]
async fn failed_sync_is_followed_by_a_full_one() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    *bench.agent.failing.lock().unwrap() = true;
    bench.want(wanted(&[spec(1, 2)], &[]));
    let failed = bench.synced().await;
    assert!(
        matches!(failed, AgentEvent::Synced { result: Err(error), .. } if error.to_string().contains("test"))
    );
    *bench.agent.failing.lock().unwrap() = false;
    let synced = bench.synced().await;
    assert!(matches!(synced, AgentEvent::Synced { result: Ok(_), .. }));
    assert_eq!(bench.calls(), [Call::Vip(key(1)), Call::Conf, all(&[key(1)], &[])]);
}

#[tokio::test(start_paused = true)]
async fn a_second_brain_waits_for_the_first_and_then_syncs_everything() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    *bench.agent.another_writes.lock().unwrap() = true;
    bench.vpp.send_replace(connected(2));
    for _ in 0..3 {
        let refused = bench.synced().await;
        assert!(
            matches!(&refused, AgentEvent::Synced { result: Err(error), .. } if error.to_string().contains("another brain is the writer")),
            "{refused:?}"
        );
    }
    *bench.agent.another_writes.lock().unwrap() = false;
    let synced = bench.synced().await;
    assert!(matches!(synced, AgentEvent::Synced { result: Ok(_), .. }));
    assert_eq!(bench.calls(), [Call::Conf, Call::Conf, Call::Conf, Call::Conf, all(&[key(1)], &[])]);
}

/// The writer's lease is renewed by any call.
#[tokio::test(start_paused = true)]
async fn brain_that_has_nothing_to_do_says_three_times_in_each_lease_that_it_is_there() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    let count = || bench.agent.signs_of_life.load(Ordering::Relaxed);
    let before = count();
    tokio::time::sleep(10 * LEASE).await;
    assert!(count() - before >= 30, "{}", count() - before);
}

#[tokio::test]
async fn refused_settings_do_not_keep_vips_from_being_synced() {
    let mut bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    *bench.agent.refusing_conf.lock().unwrap() = true;
    bench.vpp.send_replace(connected(2));
    let synced = bench.synced().await;
    assert!(matches!(synced, AgentEvent::Synced { result: Ok(_), .. }));
    assert_eq!(bench.calls(), [Call::Conf, all(&[], &[])]);
}

#[tokio::test]
async fn agent_of_another_protocol_is_refused() {
    let mut bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION + 1);
    let event = bench.event(|event| matches!(event, AgentEvent::Disconnected { .. })).await;
    let AgentEvent::Disconnected { reason } = event else { unreachable!() };
    assert_eq!(
        reason,
        format!(
            "agent 9.9 speaks protocol {}, this brain {PROTOCOL_VERSION}: upgrade maglev-brain (VPP keeps what it has while it restarts)",
            PROTOCOL_VERSION + 1
        )
    );
    assert_eq!(bench.calls(), []);
}

#[tokio::test]
async fn agent_tells_who_it_is_with_every_connection() {
    let mut bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION);
    let is_connected = |event: &AgentEvent| matches!(event, AgentEvent::Connected { .. });
    let expected = AgentEvent::Connected { version: "9.9".into(), protocol: PROTOCOL_VERSION, info: INFO };
    assert_eq!(bench.event(is_connected).await, expected);
    bench.stop_agent().await;
    bench.start_agent();
    assert_eq!(bench.event(is_connected).await, expected);
}

#[tokio::test]
async fn demanded_full_sync_is_followed_by_an_event_with_its_number() {
    let mut bench = Bench::start(wanted(&[spec(1, 1)], &[]), connected(1), PROTOCOL_VERSION);
    bench.synced().await;
    bench.calls();
    bench.want(Arc::new(Wanted { full: Some(3), ..Wanted::clone(&wanted(&[spec(1, 1)], &[])) }));
    let AgentEvent::Synced { demanded, result, .. } = bench.synced().await else { unreachable!() };
    assert_eq!((demanded, result), (Some(Demand::Full(3)), Ok(Arc::default())));
    assert_eq!(bench.calls(), [Call::Conf, all(&[key(1)], &[])]);
}

#[tokio::test]
async fn routes_go_over_the_connection_of_the_syncs_and_end_with_it() {
    let mut bench = Bench::start(wanted(&[], &[]), connected(1), PROTOCOL_VERSION);
    assert_eq!(bench.link.current().unwrap_err().to_string(), "the agent is not connected");
    while !matches!(bench.events.recv().await.unwrap(), AgentEvent::Connected { .. }) {}
    let mut agent = loop {
        match bench.link.current() {
            Ok(agent) => break agent,
            Err(_) => yield_now().await,
        }
    };
    let address = std::net::IpAddr::from([203, 0, 113, 1]);
    let routes = [(address, Some(HostRoute::Present))].into();
    let answer = agent.host_routes(RoutesSpec { routes, remove_others: true }).await.unwrap();
    assert_eq!(answer.routes, [(address, HostRoute::Present)].into());
    assert_eq!(answer.refused.as_deref(), Some("a\\nb"), "as it may be shown on a terminal");
    assert_eq!(bench.agent.hellos.load(Ordering::Relaxed), 1);
    bench.stop_agent().await;
    assert_eq!(agent.gone().await.to_string(), "the agent disconnected");
}
