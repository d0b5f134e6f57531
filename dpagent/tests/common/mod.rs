//! A simulated VPP and an agent for tests.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use maglev_dpagent::counters::SERVERS_AGE;
use maglev_dpagent::icmp::{self, Pinger};
use maglev_dpagent::policy::SharedPolicy;
use maglev_dpagent::server::{Gate, Listener, Process};
use maglev_dpagent::{policy, server, vpp};
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{
    AgentClient, AgentHello, BrainHello, Encap, PROTOCOL_VERSION, ServerSpec, VipKey, VipSpec, VppInfo,
    VppState,
};
use nix::unistd::geteuid;
use tarpc::context::Context;
use tarpc::tokio_util::codec::Framed;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vppapi::client::{Client, ConnectOptions};
use vppsim::api::{Identity, MessageIds, Simulator};
use vppsim::datapath::Datapath;
use vppsim::host::Host;
use vppsim::instance::{Instance, Settings};
use vppsim::lb::Startup;
use vppsim::run_dir::RunDir;
use vppsim::server::{Server, TraceFile};
use vppsim::stats::Segment;
use vppsim::stats::memory::Memory;
use vppsim::stats::socket::StatsListener;

/// Only reached by a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A policy that allows the tests' VIPs and servers.
pub(crate) const POLICY: &str = "\
vips: [192.0.2.0/24, \"2001:db8::/32\"]
servers: [10.0.0.0/8, \"2001:db8::/32\"]
ping: [127.0.0.0/8, \"::1/128\"]
limits:
  reads-per-second: 100000
";

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the test hangs")
}

/// Messages that change VPP.
const WRITES: [&str; 5] =
    ["lb_conf", "lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight", "lb_flush_vip"];

/// A simulated VPP with its own runtime, so that it can die as a process does, with all its connections.
pub(crate) struct Vpp {
    runtime: Option<Runtime>,
    pub(crate) host: Arc<Host>,
    trace: PathBuf,
    _run_dir: RunDir,
}

impl Vpp {
    /// Starts a VPP with its sockets and its trace in this directory.
    pub(crate) fn start(directory: &Path, pid: u32) -> Self {
        Self::start_as(directory, pid, "26.10-test")
    }

    /// Starts a VPP of this version.
    pub(crate) fn start_as(directory: &Path, pid: u32, version: &str) -> Self {
        let run_dir = RunDir::claim(directory).unwrap();
        let trace = directory.join("trace.jsonl");
        let text = |text: &str| text.to_owned();
        let identity = Identity {
            pid,
            version: text(version),
            build_date: text("today"),
            build_directory: text("/build"),
        };
        let mut simulator = Simulator::new(identity, MessageIds::shuffled(u64::from(pid)));
        simulator.set_tracing(true);
        let memory = Memory::new().unwrap();
        let segment = Segment::new(memory.clone(), boot_time(pid)).unwrap();
        let host = Host::new(simulator, segment, Datapath::disabled());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        {
            let _entered = runtime.enter();
            let stats = StatsListener::bind(run_dir.stats()).unwrap();
            let api = UnixListener::bind(run_dir.api()).unwrap();
            let trace = Some(TraceFile::open(&trace).unwrap());
            // Nobody listens to `deadly`: if the agent did what kills VPP, its connection would end and the
            // test fail.
            let server = Server { host: Arc::clone(&host), trace, deadly: mpsc::channel(1).0 };
            runtime.spawn(stats.serve(memory));
            runtime.spawn(Arc::clone(&host).tend());
            runtime.spawn(server.serve(api));
        }
        Self { runtime: Some(runtime), host, trace, _run_dir: run_dir }
    }

    /// Names of all requests so far, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        requests(&self.trace)
    }

    /// Names of the requests so far that change VPP.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|name| WRITES.contains(&name.as_str()));
        requests
    }

    pub(crate) async fn client(&self, directory: &Path) -> Client {
        Client::connect(directory.join("api.sock"), ConnectOptions::default()).await.unwrap()
    }

    /// The weight of each server, for each VIP in use.
    pub(crate) fn vips(&self) -> BTreeMap<String, BTreeMap<IpAddr, u8>> {
        self.host.with_lb(|lb| {
            let used = lb.vips().map(|(_, vip)| vip).filter(|vip| vip.used);
            used.map(|vip| {
                let servers = lb.servers_of(vip).filter(|(_, server)| server.used);
                let weights = servers.map(|(_, server)| (IpAddr::from(server.address), server.weight));
                (vip.key.to_string(), weights.collect())
            })
            .collect()
        })
    }
}

/// A simulator in the test's own runtime, so that it shares its paused clock and waiting takes no time.
pub(crate) fn simulator(directory: &Path) -> Instance {
    let text = |text: &str| text.to_owned();
    let (version, build_date, build_directory) = (text("26.10-test"), text("today"), text("/build"));
    Instance::start(Settings {
        run_dir: directory.to_owned(),
        identity: Identity { pid: 1000, version, build_date, build_directory },
        message_ids: MessageIds::shuffled(1),
        startup: Startup::default(),
        datapath: Datapath::disabled(),
        api_trace: Some(directory.join("trace.jsonl")),
    })
    .unwrap()
}

impl Drop for Vpp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Names of all requests in a trace, in order.
pub(crate) fn requests(trace: &Path) -> Vec<String> {
    let trace = std::fs::read_to_string(trace).unwrap();
    let lines = trace.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .filter(|line| line["dir"] == "received")
        .map(|line| line["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn boot_time(pid: u32) -> u64 {
    1_700_000_000 + u64::from(pid)
}

/// An agent in this process.
pub(crate) struct Agent {
    stop: CancellationToken,
    writer: JoinHandle<()>,
    server: JoinHandle<()>,
    pub(crate) socket: PathBuf,
    /// Why it cannot send echo requests.
    pub(crate) no_echo: Option<String>,
}

impl Agent {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::with_policy(directory, POLICY).await
    }

    pub(crate) async fn with_policy(directory: &Path, policy: &str) -> Self {
        let policy = SharedPolicy::new(policy::parse(policy, "policy.yaml").unwrap());
        let socket = directory.join("agent.sock");
        let listener = Listener::bind(&socket).await.unwrap();
        let stop = CancellationToken::new();
        let options = vpp::Options {
            api_socket: directory.join("api.sock"),
            stats_socket: directory.join("stats.sock"),
            policy: policy.clone(),
            servers_age: SERVERS_AGE,
        };
        let (vpp, writer) = vpp::start(options, stop.clone());
        let pinger = pinger();
        let no_echo = pinger.as_ref().err().cloned();
        let gate = Gate {
            brain_user: geteuid().as_raw(),
            policy,
            pinger,
            routes: Err("there are none here".to_owned()),
            tunnel: Err("there is none here".to_owned()),
            process: Process::starts(),
        };
        let server = tokio::spawn(server::serve(listener, gate, vpp));
        Self { stop, writer, server, socket, no_echo }
    }

    /// Ends it as a signal would.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.server.abort();
        soon(self.writer).await.unwrap();
    }

    /// A connection that has said hello.
    pub(crate) async fn client(&self) -> AgentClient {
        let client = self.stranger().await;
        assert_eq!(hello(&client).await.protocol, PROTOCOL_VERSION);
        client
    }

    /// A connection that has not said hello.
    pub(crate) async fn stranger(&self) -> AgentClient {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
        let mut config = tarpc::client::Config::default();
        config.max_in_flight_requests = 2 * server::MOST_REQUESTS;
        AgentClient::new(config, transport).spawn()
    }
}

pub(crate) fn context() -> Context {
    within(PATIENCE)
}

pub(crate) fn within(time: Duration) -> Context {
    let mut context = tarpc::context::current();
    // tarpc's deadlines use the real clock.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::Instant::now();
    context.deadline = now + time;
    context
}

pub(crate) async fn hello(client: &AgentClient) -> AgentHello {
    hello_as(client, 1).await
}

pub(crate) async fn hello_as(client: &AgentClient, instance: u64) -> AgentHello {
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version: "test".to_owned(), instance };
    soon(client.hello(context(), brain)).await.unwrap().unwrap()
}

/// Waits until VPP's connection has the wanted state.
pub(crate) async fn until(client: &AgentClient, wanted: impl Fn(&VppState) -> bool) -> VppInfo {
    soon(async {
        let mut info = client.vpp_info(context()).await.unwrap();
        while !wanted(&info.state) {
            info = client.wait_change(context(), info.generation).await.unwrap();
        }
        info
    })
    .await
}

pub(crate) fn is_connected(state: &VppState) -> bool {
    matches!(state, VppState::Connected { .. })
}

/// A pinger, if this process may have one.
fn pinger() -> Result<Pinger, String> {
    let sockets = icmp::open().map_err(|error| error.to_string())?;
    Ok(Pinger::start(sockets).map_err(|error| error.to_string())?.0)
}

/// The common start of most tests: VPP, an agent that has found it, and a client.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) vpp: Vpp,
    pub(crate) agent: Agent,
    pub(crate) client: AgentClient,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vpp = Vpp::start(directory.path(), 1000);
        let agent = Agent::start(directory.path()).await;
        let client = agent.client().await;
        until(&client, is_connected).await;
        Self { directory, vpp, agent, client }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn server(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

/// A VIP for TCP port `port` of 192.0.2.1 with servers 10.0.0.1, 10.0.0.2 and so on.
pub(crate) fn spec(port: u16, weights: &[u8]) -> VipSpec {
    let servers =
        (1..).zip(weights).map(|(last, weight)| (server(last), ServerSpec { weight: *weight, flush: true }));
    VipSpec {
        key: VipKey::port([192, 0, 2, 1].into(), 6, port),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: servers.collect(),
    }
}
