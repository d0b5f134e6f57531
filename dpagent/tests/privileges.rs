//! Confinement of the agent: seen from outside, tested from inside, and compared with what it really uses.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use common::{POLICY, Vpp, context, soon, spec};
use futures::{StreamExt, stream};
use maglev_dpagent::privileges::seccomp::{ALLOWED, Needed};
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{
    AgentClient, BrainHello, Demands, EchoOutcome, EchoRequest, LbConfSpec, MIN_ECHO_SIZE, PROTOCOL_VERSION,
    VppState,
};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tarpc::tokio_util::codec::Framed;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixDatagram, UnixStream};
use tokio::process::{Child, ChildStderr, Command};

/// Strict agents running at the same time.
const AT_ONCE: usize = 4;

const AGENT: &str = env!("CARGO_BIN_EXE_maglev-dpagent");

fn skipped(what: &str) {
    writeln!(std::io::stderr(), "skipped: {what}").ok();
}

/// Path of one of this package's examples. Cargo does not always build them with the tests.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let directory = Path::new(AGENT).parent().unwrap();
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--examples", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        build.arg("--target-dir").arg(directory.parent().unwrap());
        if directory.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        directory.join("examples")
    });
    built.join(name)
}

/// An agent with its log.
struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
    _policy: tempfile::TempDir,
}

impl Process {
    fn spawn(program: &[&str], directory: &Path, more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        for (flag, file) in
            [("--api-socket", "api.sock"), ("--stats-socket", "stats.sock"), ("--listen", "agent.sock")]
        {
            command.arg(flag).arg(directory.join(file));
        }
        let policy = tempfile::tempdir().unwrap();
        let file = policy.path().join("policy.yaml");
        std::fs::write(&file, POLICY).unwrap();
        set_permissions(policy.path(), Permissions::from_mode(0o755)).unwrap();
        command.arg("--policy").arg(file);
        command.envs(more.iter().copied()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new(), _policy: policy }
    }

    /// Waits for a log line that contains these words. `None` if the process ends without one.
    async fn logged(&mut self, words: &str) -> Option<()> {
        loop {
            let mut line = String::new();
            if soon(self.stderr.read_line(&mut line)).await.unwrap() == 0 {
                return None;
            }
            self.log.push_str(&line);
            if line.contains(words) {
                return Some(());
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().map(|id| Pid::from_raw(id.try_into().unwrap()))
    }

    /// The status of each thread, as a map of its fields.
    fn status(&self) -> Vec<BTreeMap<String, String>> {
        let tasks = format!("/proc/{}/task", self.pid().unwrap());
        let fields = |text: String| {
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
        };
        let tasks = std::fs::read_dir(tasks).unwrap();
        tasks
            .map(|task| fields(std::fs::read_to_string(task.unwrap().path().join("status")).unwrap()))
            .collect()
    }

    /// The next message to the service manager that contains these words.
    async fn told(manager: &UnixDatagram, words: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = soon(manager.recv(&mut buffer)).await.unwrap();
            let said = String::from_utf8_lossy(&buffer[..length]).replace('\0', "");
            if said.contains(words) {
                return said;
            }
        }
    }

    async fn end(&mut self) -> ExitStatus {
        if let Some(pid) = self.pid() {
            // It may have ended already.
            kill(pid, Signal::SIGTERM).ok();
        }
        self.logged("no line says this").await;
        soon(self.child.wait()).await.unwrap()
    }
}

async fn connect(directory: &Path) -> Option<AgentClient> {
    let stream = UnixStream::connect(directory.join("agent.sock")).await.ok()?;
    let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
    let client = AgentClient::new(tarpc::client::Config::default(), transport).spawn();
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version: "test".to_owned(), instance: 1 };
    soon(client.hello(context(), brain)).await.ok()?.ok()?;
    Some(client)
}

/// Waits until the agent is connected to the VPP with this process id.
async fn connected(client: &AgentClient, wanted: u32) -> Option<()> {
    let mut info = client.vpp_info(context()).await.ok()?;
    while !matches!(info.state, VppState::Connected { pid, .. } if pid == wanted) {
        info = soon(client.wait_change(context(), info.generation)).await.ok()?;
    }
    Some(())
}

/// Makes the agent do a bit of everything except end. `None` if it dies meanwhile.
async fn live(process: &mut Process, directory: &Path) -> Option<()> {
    // VPP has not been started yet.
    process.logged("VPP disconnected").await?;
    let first = Vpp::start(directory, 1000);
    let client = connect(directory).await?;
    connected(&client, 1000).await?;
    let info = soon(client.agent_info(context())).await.ok()?.unwrap();
    assert_eq!(process.pid(), i32::try_from(info.pid).ok().map(Pid::from_raw));
    soon(client.sync_vip(context(), spec(80, &[100, 0]), Demands::default())).await.ok()?.unwrap();
    let wanted = (1..20).map(|port| spec(port, &[1; 10])).collect();
    soon(client.sync_all(context(), wanted, Vec::new())).await.ok()?.unwrap();
    let conf = LbConfSpec {
        ip4_src_address: None,
        ip6_src_address: None,
        sticky_buckets_per_core: 2048,
        flow_timeout: 40,
    };
    soon(client.lb_conf(context(), conf)).await.ok()?.unwrap();
    soon(client.lb_state(context())).await.ok()?.unwrap();
    soon(client.counters(context(), true)).await.ok()?.unwrap();
    let request = EchoRequest {
        target: [127, 0, 0, 1].into(),
        source: None,
        timeout: Duration::from_secs(5),
        size: MIN_ECHO_SIZE,
    };
    let echo = soon(client.icmp_echo(context(), request)).await.ok()?;
    assert!(matches!(echo, Ok(EchoOutcome::Reply { .. })) || !may_ping(), "{echo:?}");
    drop(first);
    let _second = Vpp::start(directory, 1001);
    connected(&client, 1001).await
}

/// Whether this process may open raw sockets.
fn may_ping() -> bool {
    maglev_dpagent::icmp::open().is_ok()
}

/// Runs an agent's whole life with an entry removed from the list; returns how it ended. The socket file of a
/// killed agent is left in its way.
async fn life_without(entry: &str) -> (ExitStatus, String) {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("agent.sock")).unwrap());
    let program = example("strict_agent");
    // The log must be short, since nobody reads it meanwhile.
    let variables = [("MAGLEV_LEAVE_OUT", entry), ("MAGLEV_LOG", "warn")];
    let mut process = Process::spawn(&[program.to_str().unwrap()], directory.path(), &variables);
    live(&mut process, directory.path()).await;
    let status = process.end().await;
    (status, process.log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_system_call_on_the_list_is_needed_and_no_other_is_made() {
    let (status, log) = life_without("").await;
    assert_eq!(status.code(), Some(0), "with the whole list: {status}\n{log}");
    if !may_ping() {
        skipped("whether sendmsg is needed: without CAP_NET_RAW no echo request is sent");
    }
    let needed = ALLOWED
        .iter()
        .filter(|entry| entry.needed == Needed::Always && (may_ping() || entry.to_string() != "sendmsg"));
    let lives = needed.map(|entry| async move {
        let (status, log) = life_without(&entry.to_string()).await;
        match status.signal() {
            Some(libc::SIGSYS) => None,
            _ => Some(format!("without {entry}, for {:?}: {status}\n{log}", entry.reason)),
        }
    });
    let unneeded: Vec<_> =
        stream::iter(lives).buffer_unordered(AT_ONCE).filter_map(async |life| life).collect().await;
    assert!(unneeded.is_empty(), "not needed any more, or only rarely:\n{}", unneeded.join("\n"));
}

/// A world-accessible directory, with the sockets of a VPP that every user may connect to.
fn for_everybody() -> (tempfile::TempDir, Vpp) {
    let directory = tempfile::tempdir().unwrap();
    let vpp = Vpp::start(directory.path(), 1000);
    for (file, mode) in [("", 0o777), ("api.sock", 0o666), ("stats.sock", 0o666)] {
        set_permissions(directory.path().join(file), Permissions::from_mode(mode)).unwrap();
    }
    (directory, vpp)
}

/// Starts an agent with this command and checks user and capability sets of every thread.
async fn is_confined(program: &[&str], uid: u32, bounding: Option<&str>, seccomp: &str) {
    let (directory, _vpp) = for_everybody();
    let mut process = Process::spawn(program, directory.path(), &[]);
    assert_eq!(process.logged("VPP connected").await, Some(()), "{program:?}:\n{}", process.log);
    let threads = process.status();
    assert!(!threads.is_empty());
    for thread in threads {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(thread[set], "0000000000000000", "{set} of {program:?}");
        }
        if let Some(bounding) = bounding {
            assert_eq!(thread["CapBnd"], bounding, "{program:?}");
        }
        assert_eq!(
            (thread["NoNewPrivs"].as_str(), thread["Seccomp"].as_str()),
            ("1", seccomp),
            "{program:?}"
        );
        assert_eq!(thread["Uid"], [uid; 4].map(|uid| uid.to_string()).join("\t"), "{program:?}");
    }
    assert_eq!(process.end().await.code(), Some(0), "{program:?}:\n{}", process.log);
    assert!(!directory.path().join("agent.sock").exists());
}

const NOTHING: &str = "0000000000000000";

#[tokio::test]
async fn no_thread_keeps_a_privilege() {
    let own = Uid::effective().as_raw();
    let bounding = Uid::effective().is_root().then_some(NOTHING);
    is_confined(&[AGENT], own, bounding, "2").await;
    is_confined(&[AGENT, "--seccomp", "log"], own, bounding, "2").await;
    is_confined(&[AGENT, "--seccomp", "off"], own, bounding, "0").await;
}

#[tokio::test]
async fn root_starts_it_as_another_user() {
    if !Uid::effective().is_root() {
        return skipped("only root can start the agent as another user");
    }
    let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    is_confined(&[AGENT, "--user", "nobody"], nobody, Some(NOTHING), "2").await;
    is_confined(&[AGENT, "--user", "nobody:root"], nobody, Some(NOTHING), "2").await;
}

/// Like systemd with the unit: CAP_NET_RAW in the ambient and the bounding set.
#[tokio::test]
async fn a_service_managers_capability_is_given_up() {
    let has_setpriv = std::process::Command::new("setpriv").arg("--version").output().is_ok();
    if !Uid::effective().is_root() || !has_setpriv {
        return skipped("starting the agent with CAP_NET_RAW alone takes root and the program setpriv");
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.to_string(), nobody.gid.to_string());
    let one = ["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"];
    let program =
        [&["setpriv", "--reuid", &uid, "--regid", &gid, "--clear-groups"], one.as_slice(), &[AGENT]].concat();
    // The bounding set stays, since only CAP_SETPCAP can change it.
    is_confined(&program, nobody.uid.as_raw(), Some("0000000000002000"), "2").await;
}

#[tokio::test]
async fn it_does_not_start_as_somebody_else_than_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(&[AGENT, "--user", "no-such-user"], directory.path(), &[]);
    process.logged("no line says this").await;
    assert_eq!(process.end().await.code(), Some(1));
    assert!(process.log.contains(r#"there is no user \"no-such-user\" on this machine"#), "{}", process.log);
    assert!(!directory.path().join("agent.sock").exists());
}

#[tokio::test]
async fn a_captured_agent_is_refused_what_it_has_no_use_for_and_killed_for_worse() {
    let output = async |deed: &str| {
        let mut command = Command::new(example("captured"));
        soon(command.arg(deed).env_clear().env("RUST_BACKTRACE", "1").output()).await.unwrap()
    };
    for deed in ["nothing", "panic"] {
        let output = output(deed).await;
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "done\n", "{deed}");
        assert_eq!(output.status.code(), Some(0), "{deed}");
    }
    for deed in ["udp", "tcp", "read", "write", "list", "thread", "signal"] {
        let said = String::from_utf8(output(deed).await.stdout).unwrap();
        assert_eq!(said, format!("refused: {}\n", libc::ENOSYS), "{deed}");
    }
    for deed in ["execute", "start", "namespace", "code", "root"] {
        let output = output(deed).await;
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{deed}: {output:?}");
    }
}

/// Under the strict filter: every system call that notifying needs is on the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_manager_is_told_how_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    let program = example("strict_agent");
    let notify = directory.path().join("notify");
    let variables = [("NOTIFY_SOCKET", notify.to_str().unwrap()), ("WATCHDOG_USEC", "20000")];
    let mut process = Process::spawn(&[program.to_str().unwrap()], directory.path(), &variables);
    Process::told(&manager, "READY=1").await;
    assert!(connect(directory.path()).await.is_some(), "it listens before it says that it is ready");
    Process::told(&manager, "STATUS=VPP disconnected: ").await;
    Process::told(&manager, "WATCHDOG=1").await;
    let _vpp = Vpp::start(directory.path(), 1000);
    Process::told(&manager, "STATUS=VPP 26.10").await;
    Process::told(&manager, "WATCHDOG=1").await;
    kill(process.pid().unwrap(), Signal::SIGTERM).unwrap();
    Process::told(&manager, "STOPPING=1").await;
    let status = process.end().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", process.log);
}

/// Runs a program with its standard error connected to the journal, whose socket is in the directory given
/// first.
const UNDER_JOURNAL: &str = r#"
    journal=$1; shift
    mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$journal" /run/systemd/journal &&
    JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_gets_fields_one_by_one() {
    let unshared = || {
        std::process::Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/run"]).output()
    };
    if !unshared().is_ok_and(|output| output.status.success()) {
        return skipped("a journal of the test's own takes root and the program unshare");
    }
    let program = example("strict_agent");
    for (left_out, signal) in [("", None), ("sendto(journal)", Some(libc::SIGSYS))] {
        let (directory, journal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let socket = UnixDatagram::bind(journal.path().join("socket")).unwrap();
        let words = ["unshare", "-m", "sh", "-c", UNDER_JOURNAL, "sh", journal.path().to_str().unwrap()];
        let program = [words.as_slice(), &[program.to_str().unwrap()]].concat();
        let mut process = Process::spawn(
            &program,
            directory.path(),
            &[("MAGLEV_LEAVE_OUT", left_out), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")],
        );
        if signal.is_none() {
            let line = Process::told(&socket, "started\n").await;
            for field in
                ["SYSLOG_IDENTIFIER", "maglev-dpagent\n", "PRIORITY\n\u{1}6\n", "MAGLEV_BRAIN_USER\n"]
            {
                assert!(line.contains(field), "no {field} in {line}");
            }
            let listen = directory.path().join("agent.sock");
            assert!(line.contains(listen.to_str().unwrap()), "{line}");
        }
        if signal.is_some() {
            // The first log line under the filter kills it.
            process.logged("no line says this").await;
        }
        let status = process.end().await;
        assert_eq!(status.signal(), signal, "{status}\n{}", process.log);
        assert_eq!(process.log, "", "lines go to the journal alone");
    }
}
