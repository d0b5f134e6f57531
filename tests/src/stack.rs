//! The complete system as real processes: VPP or its simulator, agent, brain and web servers, in a temporary
//! directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::bird::inside;
use crate::guard::{self, Guard};
use crate::traffic::Asker;
use crate::{binaries, maglevc, wait};

/// Names the directory of a running VPP's sockets, to use it instead of the simulator.
pub const VPP_RUN_DIR: &str = "MAGLEV_VPP_RUN_DIR";

/// What the agents of tests and demo may program. 198.51.100.0/24 is for documentation (RFC 5737): nobody
/// answers there.
pub const POLICY: &str = "\
vips: [127.90.0.0/16]
servers: [127.0.0.0/8]
ping: [127.0.0.0/8, 198.51.100.0/24]
";
/// The address of the VIP.
pub const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 90, 0, 1));

/// The web servers: name, address, pool, weight.
pub const BACKENDS: [(&str, [u8; 4], &str, u8); 5] = [
    ("web1", [127, 90, 1, 1], "primary", 100),
    ("web2", [127, 90, 1, 2], "primary", 100),
    ("web3", [127, 90, 1, 3], "primary", 50),
    ("spare1", [127, 90, 2, 1], "fallback", 100),
    ("spare2", [127, 90, 2, 2], "fallback", 100),
];

/// Running processes, their directory, and the guard that ends them.
#[derive(Debug)]
pub struct Stack {
    // Dropped first: it ends the processes and removes the directory.
    guard: Guard,
    directory: PathBuf,
    vpp_run_dir: PathBuf,
    simulated: bool,
    port: u16,
    metrics: u16,
    processes: BTreeMap<String, Child>,
    brain_log: Option<String>,
    fleet: Option<PathBuf>,
    namespace: Option<String>,
    // A VPP that is not ours is used by one stack at a time.
    _lock: Option<File>,
}

impl Stack {
    /// Starts everything, and waits until VPP has the VIP. Uses the VPP that the environment names, if it
    /// names one.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(std::env::var_os(VPP_RUN_DIR).filter(|path| !path.is_empty()).map(PathBuf::from))
            .await
    }

    /// The same with the sockets of the VPP in this directory, or with the simulator.
    pub async fn start_with(vpp_run_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut stack = Self::prepare(vpp_run_dir)?;
        for (name, ..) in BACKENDS {
            stack.start_backend(name)?;
        }
        if stack.simulated {
            stack.start_vppsim()?;
        }
        stack.start_agent()?;
        stack.refuse_a_vpp_in_use().await?;
        stack.start_brain()?;
        stack.wait_synced().await?;
        Ok(stack)
    }

    /// A directory and a guard for processes that need no VPP but the simulator; none is started, and the
    /// configuration is still to be [written](Self::configure).
    pub fn empty() -> anyhow::Result<Self> {
        Self::prepare(None)
    }

    /// The same with the VPP in this directory, or with the simulator.
    pub fn bare(vpp_run_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        Self::prepare(vpp_run_dir)
    }

    /// Sets the brain's log filter for its next start.
    pub fn set_brain_log(&mut self, filter: &str) {
        self.brain_log = Some(filter.to_owned());
    }

    /// Makes the brain a member of a fleet at its next start, with these settings.
    pub fn join_fleet(&mut self, settings: &str) -> anyhow::Result<()> {
        let file = self.directory.join("fleet.yaml");
        std::fs::write(&file, settings).context("cannot write the fleet's settings")?;
        self.fleet = Some(file);
        Ok(())
    }

    /// Runs the processes that are started from now on in a network namespace.
    pub fn enter(&mut self, namespace: &str) {
        self.namespace = Some(namespace.to_owned());
    }

    /// Writes the configuration for the brain's next start.
    pub fn configure(&self, configuration: &str) -> anyhow::Result<()> {
        std::fs::write(self.config(), configuration).context("cannot write the configuration")
    }

    /// A directory with a configuration and a guard, but no processes yet.
    fn prepare(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("maglev-").tempdir()?.keep();
        let guard = Guard::start(&directory)?;
        let simulated = given.is_none();
        let lock = given.as_deref().map(lock_vpp).transpose()?;
        let vpp_run_dir = given.unwrap_or_else(|| directory.join("vpp"));
        if !simulated && !vpp_run_dir.join("api.sock").exists() {
            bail!("{} has no api.sock: is that the directory of a running VPP?", vpp_run_dir.display());
        }
        let (port, metrics) = (free_port()?, free_port()?);
        std::fs::write(directory.join("maglev.yaml"), configuration(port))?;
        Ok(Self {
            guard,
            directory,
            vpp_run_dir,
            simulated,
            port,
            metrics,
            processes: BTreeMap::new(),
            brain_log: None,
            fleet: None,
            namespace: None,
            _lock: lock,
        })
    }

    /// Whether VPP is simulated. A real VPP does not forward what loopback addresses send each other.
    pub fn simulated(&self) -> bool {
        self.simulated
    }

    /// Directory of everything.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Directory of VPP's sockets.
    pub fn vpp_run_dir(&self) -> &Path {
        &self.vpp_run_dir
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("maglev.yaml")
    }

    /// The agent's socket.
    pub fn agent_socket(&self) -> PathBuf {
        self.directory.join("dpagent.sock")
    }

    /// The brain's gRPC socket.
    pub fn brain_socket(&self) -> PathBuf {
        self.directory.join("brain.sock")
    }

    /// The trace of messages that the simulator received.
    pub fn api_trace(&self) -> PathBuf {
        self.directory.join("api-trace.jsonl")
    }

    /// Where the brain answers Prometheus.
    pub fn metrics(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.metrics))
    }

    /// A process's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// Where the VIP is.
    pub fn vip(&self) -> SocketAddr {
        SocketAddr::new(VIP, self.port)
    }

    /// A client of the VIP.
    pub fn asker(&self) -> anyhow::Result<Asker> {
        Asker::new(self.vip())
    }

    /// Process id of a process that was started.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.get(name).map(Child::id)
    }

    /// Starts the simulator, with its state empty.
    pub fn start_vppsim(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("vppsim")?;
        command.arg("--run-dir").arg(&self.vpp_run_dir);
        command.arg("--api-trace").arg(self.api_trace());
        self.spawn("vppsim", command)
    }

    /// Starts the agent.
    pub fn start_agent(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("maglev-dpagent")?;
        command.arg("--api-socket").arg(self.vpp_run_dir.join("api.sock"));
        command.arg("--stats-socket").arg(self.vpp_run_dir.join("stats.sock"));
        command.arg("--listen").arg(self.agent_socket()).arg("--policy").arg(self.policy());
        // Counters at most a second old, for tests that watch them.
        command.args(["--servers-age", "1"]);
        std::fs::write(self.policy(), POLICY).context("cannot write the agent's policy")?;
        self.spawn("dpagent", command)
    }

    /// The agent's policy.
    pub fn policy(&self) -> PathBuf {
        self.directory.join("policy.yaml")
    }

    /// Starts the brain.
    pub fn start_brain(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("maglev-brain")?;
        command.arg("--config").arg(self.config()).arg("--agent").arg(self.agent_socket());
        command.arg("--grpc").arg(format!("unix:{}", self.brain_socket().display()));
        command.arg("--metrics").arg(self.metrics().to_string());
        command.arg("--state-dir").arg(self.directory.join("state"));
        if let Some(file) = &self.fleet {
            command.arg("--fleet").arg(file);
        }
        if let Some(filter) = &self.brain_log {
            command.arg("--log-level").arg(filter);
        }
        self.spawn("brain", command)
    }

    /// Where one of [`BACKENDS`] listens.
    pub fn backend(&self, name: &str) -> Option<SocketAddr> {
        let (_, address, ..) = BACKENDS.into_iter().find(|backend| backend.0 == name)?;
        Some(SocketAddr::from((address, self.port)))
    }

    /// Starts one of [`BACKENDS`].
    pub fn start_backend(&mut self, name: &str) -> anyhow::Result<()> {
        let address = self.backend(name).with_context(|| format!("no backend {name}"))?;
        let mut command = self.command("demo-backend")?;
        command.arg("--listen").arg(address.to_string()).args(["--name", name]);
        self.spawn(name, command)
    }

    /// Kills a process, as in a crash.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let mut process = self.processes.remove(name).with_context(|| format!("{name} does not run"))?;
        process.kill().and_then(|()| process.wait()).with_context(|| format!("cannot kill {name}"))?;
        self.guard.forget(process.id())
    }

    /// The JSON output of a `show` command.
    pub async fn show(&self, words: &[&str]) -> anyhow::Result<Value> {
        let words: Vec<_> = ["show"].iter().chain(words).copied().collect();
        self.operate(&words).await
    }

    /// Runs an operator's command; returns its JSON output.
    pub async fn operate(&self, words: &[&str]) -> anyhow::Result<Value> {
        maglevc::json(&self.brain_socket(), words).await
    }

    /// Every backend as the brain shows it, by its name.
    pub async fn backends(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut listed = self.show(&["backends"]).await?;
        let Some(Value::Array(backends)) = listed.get_mut("backends").map(Value::take) else {
            bail!("no backends in {listed}");
        };
        let named = |backend: Value| Some((backend["name"].as_str()?.to_owned(), backend));
        Ok(backends.into_iter().filter_map(named).collect())
    }

    /// Buckets that VPP gives each backend; those without any are left out.
    pub async fn buckets(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let state = self.show(&["vpp", "lb", "state"]).await?;
        let vips = state["vips"].as_array().context("no VIPs")?;
        let Some(vip) = vips.iter().find(|vip| vip["frontend"] == "www") else {
            return Ok(BTreeMap::new());
        };
        let servers = vip["application_servers"].as_array().context("no servers")?;
        let row = |server: &Value| {
            Some((server["backend"].as_str().unwrap_or_default().to_owned(), server["buckets"].as_u64()?))
        };
        Ok(servers.iter().filter_map(row).filter(|(_, buckets)| *buckets > 0).collect())
    }

    /// Flows that VPP has pinned for the VIP, as the frontend's table shows them.
    pub async fn flows(&self) -> anyhow::Result<u64> {
        let frontend = self.show(&["frontends", "www"]).await?;
        let pools = frontend["pools"].as_array().context("no pools")?;
        let backends = pools.iter().filter_map(|pool| pool["backends"].as_array()).flatten();
        Ok(backends.filter_map(|backend| backend["flows"].as_u64()).sum())
    }

    /// Waits until VPP sends new flows to exactly these backends; returns their buckets.
    pub async fn wait_serving(&self, backends: &[&str]) -> anyhow::Result<BTreeMap<String, u64>> {
        let wanted: Vec<_> = {
            let mut names = backends.to_vec();
            names.sort_unstable();
            names
        };
        let what = format!("VPP to send new flows to {}", wanted.join(", "));
        let look = || async {
            let buckets = self.buckets().await?;
            let serving: Vec<_> = buckets.keys().map(String::as_str).collect();
            if serving == wanted { Ok(Some(buckets)) } else { anyhow::bail!("VPP sends them to {serving:?}") }
        };
        wait::until(&what, look).await.map_err(|error| self.explain(&error))
    }

    /// Waits until the brain reports that VPP has the desired state.
    pub async fn wait_synced(&self) -> anyhow::Result<()> {
        let look = || async {
            let frontend = self.show(&["frontends", "www"]).await?;
            let sync = frontend["sync"].as_str().unwrap_or_default();
            if sync == "synced" { Ok(Some(())) } else { bail!("it is {sync}: {}", frontend["sync_error"]) }
        };
        wait::until("frontend www to be synced", look).await.map_err(|error| self.explain(&error))
    }

    /// Number of writes that VPP has acknowledged, from the agent's log, which has one line for each.
    pub fn writes(&self) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.log("dpagent"))?;
        let write = |line: &&str| line.contains("VPP changed") || line.contains("lb settings changed");
        Ok(log.lines().filter(write).count())
    }

    /// An error together with the last lines of every log.
    pub fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let tail = |name: &String| {
            let text = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let start = lines.len().saturating_sub(20);
            if lines.is_empty() {
                String::new()
            } else {
                format!("\n--- {name}\n{}", lines[start..].join("\n"))
            }
        };
        let logs: String = self.processes.keys().map(tail).collect();
        anyhow::anyhow!("{error:#}{logs}")
    }

    /// Refuses a VPP that somebody else uses: a sync would remove their VIPs.
    async fn refuse_a_vpp_in_use(&mut self) -> anyhow::Result<()> {
        let socket = self.agent_socket();
        let connect =
            wait::until("the agent to answer", || async { Ok(Some(guard::connect(&socket).await?)) });
        let agent = connect.await.map_err(|error| self.explain(&error))?;
        let read = wait::until("the agent to read VPP", || async {
            Ok(Some(agent.lb_state(tarpc::context::current()).await??))
        });
        let state = read.await.map_err(|error| self.explain(&error))?;
        if !state.vips.is_empty() {
            bail!(
                "VPP in {} has {} VIPs already; this would remove them",
                self.vpp_run_dir.display(),
                state.vips.len()
            );
        }
        if !self.simulated {
            self.guard.clean(&self.vpp_run_dir)?;
        }
        Ok(())
    }

    /// A command for one of the programs, with an empty environment.
    pub fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(binaries::program(program)?);
        // Only what is given here counts, not what the environment happens to hold.
        command.env_clear().current_dir(&self.directory);
        Ok(command)
    }

    /// Starts a process, whose output goes to its [log](Self::log).
    pub fn spawn(&mut self, name: &str, mut command: Command) -> anyhow::Result<()> {
        if let Some(namespace) = &self.namespace {
            command = inside(namespace, &command);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log(name))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for whoever started the stack; it ends the rest in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.guard.process(process.id())?;
        self.processes.insert(name.to_owned(), process);
        Ok(())
    }
}

/// Locks a VPP that is not ours for one stack at a time. Locks the directory itself, so that no lock file is
/// left behind.
fn lock_vpp(run_dir: &Path) -> anyhow::Result<File> {
    let directory = File::open(run_dir).with_context(|| format!("cannot open {}", run_dir.display()))?;
    directory.lock().with_context(|| format!("cannot lock {}", run_dir.display()))?;
    Ok(directory)
}

/// A port that is free on every IPv4 address of this machine.
pub fn free_port() -> anyhow::Result<u16> {
    // Below the range of ephemeral ports, which other connections might take meanwhile.
    for _ in 0..1000 {
        let port = fastrand::u16(15_000..30_000);
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from 15000 to 30000")
}

/// The configuration of the demo, with checks fast enough to watch.
fn configuration(port: u16) -> String {
    let address = |octets: [u8; 4]| IpAddr::from(octets);
    let backends: String = BACKENDS
        .iter()
        .map(|(name, octets, ..)| {
            format!("    {name}: {{ address: {}, healthcheck: web }}\n", address(*octets))
        })
        .collect();
    let members = |wanted: &str| -> String {
        let members = BACKENDS.iter().filter(|(_, _, pool, _)| *pool == wanted);
        members.map(|(name, _, _, weight)| format!("            {name}: {{ weight: {weight} }}\n")).collect()
    };
    format!(
        "\
maglev:
  vpp:
    lb:
      # Source of the tunnels to the backends.
      ipv4-src-address: 127.0.0.1
      sync-interval: 5s
      # A brain that starts beside a VPP that serves waits so long before it changes anything.
      startup-min-delay: 500ms
      startup-max-delay: 5s

  healthchecks:
    web:
      type: http
      port: {port}
      params:
        path: /health
        response-code: 200
      interval: 500ms
      fast-interval: 100ms
      down-interval: 500ms
      timeout: 400ms
      rise: 2
      fall: 2

  backends:
{backends}
  frontends:
    www:
      description: the demo's web service
      address: {VIP}
      protocol: tcp
      port: {port}
      pools:
        - name: primary
          backends:
{}        - name: fallback
          backends:
{}",
        members("primary"),
        members("fallback"),
    )
}
