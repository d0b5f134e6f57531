//! The program itself, as a process.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{POLICY, Vpp, context, hello, is_connected, soon, spec, until};
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{AgentClient, BrainHello, Demands, PROTOCOL_VERSION};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tarpc::tokio_util::codec::Framed;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglev-dpagent"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(arguments: &[&str]) -> Output {
    soon(command().args(arguments).output()).await.unwrap()
}

struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Process {
    /// Starts it, configured by flags or by the environment, and waits until it listens.
    async fn start(directory: &Path, by_environment: bool) -> Self {
        std::fs::write(directory.join("policy.yaml"), POLICY).unwrap();
        let mut command = command();
        for (flag, variable, file) in [
            ("--api-socket", "MAGLEV_VPP_API_SOCKET", "api.sock"),
            ("--stats-socket", "MAGLEV_VPP_STATS_SOCKET", "stats.sock"),
            ("--listen", "MAGLEV_AGENT_LISTEN", "agent.sock"),
            ("--policy", "MAGLEV_AGENT_POLICY", "policy.yaml"),
        ] {
            match by_environment {
                true => command.env(variable, directory.join(file)),
                false => command.arg(flag).arg(directory.join(file)),
            };
        }
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self { child, stderr, log: String::new() };
        process.logged("started").await;
        process
    }

    /// Waits for a log line that contains these words.
    async fn logged(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            let read = soon(self.stderr.read_line(&mut line)).await.unwrap();
            assert_ne!(read, 0, "it ended without {words:?}:\n{}", self.log);
            self.log.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
    }

    async fn end(mut self, signal: Signal) -> String {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        kill(pid, signal).unwrap();
        let status = soon(self.child.wait()).await.unwrap();
        soon(self.stderr.read_to_string(&mut self.log)).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log);
        self.log
    }
}

async fn client(directory: &Path) -> AgentClient {
    let client = stranger(directory).await;
    hello(&client).await;
    client
}

/// A connection that has not said hello.
async fn stranger(directory: &Path) -> AgentClient {
    let stream = UnixStream::connect(directory.join("agent.sock")).await.unwrap();
    let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
    AgentClient::new(tarpc::client::Config::default(), transport).spawn()
}

#[tokio::test]
async fn it_explains_itself() {
    let help = output(&["--help"]).await;
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for words in ["--api-socket", "--stats-socket", "--listen", "--log-level", "MAGLEV_LOG", "/run/maglev"] {
        assert!(text.contains(words), "{words} is missing in:\n{text}");
    }
    let version = output(&["--version"]).await;
    let expected = format!("maglev-dpagent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
    assert_eq!(output(&["--no-such-flag"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn it_tells_each_change_in_a_line_and_leaves_vpp_alone_at_its_end() {
    for (by_environment, signal) in [(false, Signal::SIGTERM), (true, Signal::SIGINT)] {
        let directory = tempfile::tempdir().unwrap();
        let vpp = Vpp::start(directory.path(), 1000);
        let mut process = Process::start(directory.path(), by_environment).await;
        let client = client(directory.path()).await;
        until(&client, is_connected).await;
        for weights in [[100, 0], [0, 100]] {
            soon(client.sync_vip(context(), spec(80, &weights), Demands::default())).await.unwrap().unwrap();
        }
        let raised = process.logged("to=100 flush=false").await;
        assert!(
            raised.contains("step=add-server vip=\"192.0.2.1 tcp/80\" server=10.0.0.1 to=100"),
            "{raised}"
        );
        let lowered = process.logged("from=100 to=0 flush=true").await;
        let fields = "step=set-weight vip=\"192.0.2.1 tcp/80\" server=10.0.0.1 from=100 to=0 flush=true";
        assert!(lowered.contains(fields) && lowered.contains("answer=ok"), "{lowered}");
        let state = vpp.vips();
        let log = process.end(signal).await;
        assert!(log.contains("msg=\"VPP connected\" version=26.10-test pid=1000"), "{log}");
        assert!(log.contains("ended; VPP keeps what it has"), "{log}");
        assert!(!directory.path().join("agent.sock").exists());
        assert_eq!(vpp.vips(), state);
    }
}

/// A peer's texts must not be able to forge a log line.
#[tokio::test]
async fn texts_of_peers_are_on_one_line_and_short() {
    let directory = tempfile::tempdir().unwrap();
    let _vpp = Vpp::start_as(directory.path(), 1000, "26.10\nINFO VPP changed\u{1b}[2J");
    let mut process = Process::start(directory.path(), false).await;
    let connected = process.logged("VPP connected").await;
    assert!(connected.contains(r#"version="26.10\\nINFO VPP changed\\u{1b}[2J" pid=1000"#), "{connected}");

    let version = format!("9.9\nINFO VPP changed step=\"set-weight\" \u{202e}{}", "x".repeat(3000));
    for (protocol, words) in [(PROTOCOL_VERSION, "brain connected"), (7777, "speaks protocol 7777")] {
        let client = stranger(directory.path()).await;
        let brain = BrainHello { protocol, version: version.clone(), instance: 1 };
        soon(client.hello(context(), brain)).await.unwrap().ok();
        let line = process.logged(words).await;
        assert!(line.contains(r"9.9\\nINFO VPP changed") && line.contains("202e"), "{line}");
        assert!(line.len() < 400, "{line}");
    }
    let log = process.end(Signal::SIGTERM).await;
    assert!(log.lines().all(|line| !line.starts_with("INFO") && !line.contains('\u{202e}')), "{log}");
}

#[tokio::test]
async fn a_flood_of_connections_is_a_line_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), false).await;
    for _ in 0..300 {
        let mut stream = UnixStream::connect(directory.path().join("agent.sock")).await.unwrap();
        stream.write_all(&[0xff; 64]).await.unwrap();
        // Closed, whether or not the agent read everything sent to it.
        soon(stream.read(&mut [0])).await.ok();
    }
    let line = process.logged("times").await;
    let own = std::process::id();
    assert!(line.contains("a connection was closed") && line.contains(&format!("process {own} (")), "{line}");
    let log = process.end(Signal::SIGTERM).await;
    let told: Vec<_> = log.lines().filter(|line| line.contains("a connection was closed")).collect();
    assert!(told.len() < 30, "{log}");
    let times =
        |line: &&str| line.rsplit_once("times=").map_or(1, |(_, times)| times.parse::<u32>().unwrap());
    assert_eq!(told.iter().map(times).sum::<u32>(), 300, "{log}");
}

#[tokio::test]
async fn a_second_one_on_the_same_socket_gives_up_and_a_killed_ones_socket_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Process::start(directory.path(), false).await;
    let socket = directory.path().join("agent.sock");
    let second = output(&["--listen", socket.to_str().unwrap()]).await;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another process already does"), "{said}");
    assert!(socket.exists());

    soon(first.child.kill()).await.unwrap();
    assert!(socket.exists());
    let third = Process::start(directory.path(), false).await;
    client(directory.path()).await;
    third.end(Signal::SIGTERM).await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn without_a_policy_it_says_how_to_write_one_and_one_that_others_may_write_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.yaml");
    let socket = directory.path().join("agent.sock");
    let arguments = ["--policy", policy.to_str().unwrap(), "--listen", socket.to_str().unwrap()];

    let mut child = command().args(arguments).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut process = Process { child, stderr, log: String::new() };
    process.logged("started").await;
    for words in ["there is no policy at", "nothing is allowed", "vips: [", "servers: ["] {
        assert!(process.log.contains(words), "{words} is missing in:\n{}", process.log);
    }
    let client = client(directory.path()).await;
    let refused = soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap();
    assert!(refused.unwrap_err().to_string().contains("the agent refused "));
    drop(client);
    process.end(Signal::SIGTERM).await;

    for (text, mode, said) in [
        (POLICY, 0o666, "may be written by others (mode 0666)"),
        ("vips: [300.0.0.0/8]\nservers: []\n", 0o644, ":1:8: error: `300.0.0.0/8` is not a prefix"),
    ] {
        std::fs::write(&policy, text).unwrap();
        std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(mode)).unwrap();
        let ended = output(&arguments).await;
        let log = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{log}");
        assert!(log.contains(said), "{log}");
        assert!(!socket.exists());
    }
}

#[tokio::test]
async fn policy_is_read_again_at_sighup_and_a_wrong_one_leaves_the_one_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let _vpp = Vpp::start(directory.path(), 1000);
    let mut process = Process::start(directory.path(), false).await;
    let client = client(directory.path()).await;
    until(&client, is_connected).await;
    let pid = Pid::from_raw(process.child.id().unwrap().try_into().unwrap());
    let policy = directory.path().join("policy.yaml");
    let outside = || async {
        let asked = client.sync_vip(context(), spec(80, &[100]), Demands::default());
        let report = soon(asked).await.unwrap();
        report.is_err_and(|error| error.to_string().contains("no prefix of `vips`"))
    };
    assert!(!outside().await);

    std::fs::write(&policy, "vips: [198.51.100.0/24]\nservers: [10.0.0.0/8]\n").unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    process.logged("policy reloaded\"").await;
    assert!(outside().await, "the VIP is still allowed");

    std::fs::write(&policy, "vips: [10.0.0.0/33]\nserver: []\n").unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    let refused = process.logged("not reloaded").await;
    assert!(refused.contains("10.0.0.0/33") && refused.contains("unknown key `server`"), "{refused}");
    assert!(outside().await, "a wrong policy changed the one in force");

    std::fs::remove_file(&policy).unwrap();
    nix::unistd::mkfifo(&policy, nix::sys::stat::Mode::S_IRWXU).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    assert!(process.logged("not reloaded").await.contains("FIFO"));

    std::fs::remove_file(&policy).unwrap();
    std::fs::write(&policy, POLICY).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    process.logged("policy reloaded\"").await;
    assert!(!outside().await);
    process.end(Signal::SIGTERM).await;
}
