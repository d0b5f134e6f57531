//! Starts the agent as a process, and a VPP for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::AgentClient;
use maglev_protocol::codec::{ClientCodec, framing};
use tarpc::context::Context;
use tarpc::tokio_util::codec::Framed;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::sleep;
use vppsim::api::{Identity, MessageIds, Simulator};
use vppsim::datapath::Datapath;
use vppsim::host::Host;
use vppsim::run_dir::RunDir;
use vppsim::server::Server;
use vppsim::stats::Segment;
use vppsim::stats::memory::Memory;
use vppsim::stats::socket::StatsListener;

// Full syncs follow each other faster than a brain sends them.
const POLICY: &str = "vips: [198.18.0.0/15]\nservers: [10.0.0.0/8]\nlimits:\n  reads-per-second: 1000\n";

/// The same as in systemd/maglev-dpagent.service.
const UNIT_ENVIRONMENT: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")];

/// A VPP and the directory of its sockets.
pub(crate) struct Vpp {
    pub(crate) name: String,
    pub(crate) run_dir: PathBuf,
    simulator: Option<(Runtime, RunDir)>,
}

impl Vpp {
    /// The VPP that the environment names, or a simulator with its sockets in this directory.
    pub(crate) fn find_or_start(directory: &Path) -> Self {
        match std::env::var_os("MAGLEV_VPP_RUN_DIR") {
            Some(run_dir) => {
                let run_dir = PathBuf::from(run_dir);
                Self { name: format!("that in {}", run_dir.display()), run_dir, simulator: None }
            }
            None => Self::simulated(directory),
        }
    }

    /// Stops the VPP, if it was started here.
    pub(crate) fn end(self) {
        if let Some((runtime, _)) = self.simulator {
            runtime.shutdown_background();
        }
    }

    fn simulated(directory: &Path) -> Self {
        let run_dir = RunDir::claim(directory).unwrap();
        let text = |text: &str| text.to_owned();
        let (version, build_date, build_directory) = (text("26.10-bench"), text("today"), text("/build"));
        let identity = Identity { pid: 1, version, build_date, build_directory };
        let simulator = Simulator::new(identity, MessageIds::shuffled(1));
        let memory = Memory::new().unwrap();
        let segment = Segment::new(memory.clone(), 1_700_000_000).unwrap();
        let host = Host::new(simulator, segment, Datapath::disabled());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        {
            let _entered = runtime.enter();
            let stats = StatsListener::bind(run_dir.stats()).unwrap();
            let api = UnixListener::bind(run_dir.api()).unwrap();
            let server = Server { host: Arc::clone(&host), trace: None, deadly: mpsc::channel(1).0 };
            runtime.spawn(stats.serve(memory));
            runtime.spawn(host.tend());
            runtime.spawn(server.serve(api));
        }
        let simulator = Some((runtime, run_dir));
        Self { name: "the simulator".to_owned(), run_dir: directory.to_owned(), simulator }
    }
}

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    pub(crate) fn start(directory: &Path, vpp: &Vpp) -> Self {
        let (socket, policy) = (directory.join("agent.sock"), directory.join("policy.yaml"));
        std::fs::write(&policy, POLICY).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_maglev-dpagent"))
            .env_clear()
            .envs(UNIT_ENVIRONMENT)
            .arg("--api-socket")
            .arg(vpp.run_dir.join("api.sock"))
            .arg("--stats-socket")
            .arg(vpp.run_dir.join("stats.sock"))
            .arg("--listen")
            .arg(&socket)
            .arg("--policy")
            .arg(&policy)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(directory.join("agent.log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    /// A connection past hello, once the agent has found VPP.
    pub(crate) async fn client(&self) -> AgentClient {
        let stream = loop {
            match UnixStream::connect(&self.socket).await {
                Ok(stream) => break stream,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        };
        let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
        let client = AgentClient::new(tarpc::client::Config::default(), transport).spawn();
        super::hello(&client).await;
        while client.lb_state(within(10)).await.unwrap().is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        client
    }

    /// Resident memory, as text.
    pub(crate) fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            kibibytes / 1024.0
        };
        // The rest is the program itself, and the pages of VPP's stats segment that it has read.
        format!("{:.1} MiB, {:.1} of it heap and stack", field("VmRSS:"), field("RssAnon:"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn within(seconds: u64) -> Context {
    let mut context = tarpc::context::current();
    // tarpc's deadlines use the real clock.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::Instant::now();
    context.deadline = now + Duration::from_secs(seconds);
    context
}
