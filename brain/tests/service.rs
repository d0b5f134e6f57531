//! The brain under a service manager: inherited sockets that outlive it, and notifications. The tests play
//! the service manager.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use hyper_util::rt::TokioIo;
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{ChangeBackendRequest, GetStatusRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixDatagram, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    b1: { address: 10.0.0.1 }
  frontends:
    shop: { address: 203.0.113.10, pools: [ { name: only, backends: { b1: {} } } ] }
";

/// Only reached if the brain does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("nothing happened for too long")
}

/// A service manager with one service.
struct Manager {
    directory: TempDir,
    /// The sockets with their names.
    sockets: Vec<(&'static str, OwnedFd)>,
    /// Address of the Prometheus socket, if there is one.
    prometheus: Option<SocketAddr>,
    /// Whether `--metrics` is omitted.
    without_metrics: bool,
    notify: UnixDatagram,
    /// Notifications since the last start that no test has read yet.
    heard: Vec<String>,
    child: Option<Child>,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("maglev.yaml"), CONFIG).unwrap();
        let notify = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self {
            directory,
            sockets: Vec::new(),
            prometheus: None,
            without_metrics: false,
            notify,
            heard: Vec::new(),
            child: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Opens sockets as socket units would.
    fn with_sockets() -> (Self, SocketAddr, PathBuf) {
        let mut manager = Self::new();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, unix) = (tcp.local_addr().unwrap(), manager.path("grpc.sock"));
        manager.sockets.push(("grpc", tcp.into()));
        manager.sockets.push(("grpc", UnixListener::bind(&unix).unwrap().into()));
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
        manager.prometheus = Some(metrics.local_addr().unwrap());
        manager.sockets.push(("metrics", metrics.into()));
        (manager, address, unix)
    }

    /// Starts the brain, and waits until it is ready.
    async fn start(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        // The shell passes on its process id, which stays the same.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"LISTEN_PID=$$ exec "$@""#, "sh", env!("CARGO_BIN_EXE_maglev-brain")]);
        command.arg("--config").arg(self.path("maglev.yaml"));
        command.arg("--agent").arg(self.path("no-agent.sock"));
        command.arg("--state-dir").arg(self.path("state"));
        // Unique per test, and unused by tests with a socket for it.
        if !self.without_metrics {
            command.args(["--metrics", if self.prometheus.is_some() { "127.0.0.1:1" } else { "off" }]);
        }
        command.args(arguments).env_clear().envs(environment.iter().copied());
        command.env("NOTIFY_SOCKET", self.path("notify"));
        if !self.sockets.is_empty() {
            let names: Vec<_> = self.sockets.iter().map(|(name, _)| *name).collect();
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
            let mapped = (3..).zip(&self.sockets).map(|(child_fd, (_, socket))| FdMapping {
                parent_fd: socket.try_clone().unwrap(),
                child_fd,
            });
            command.fd_mappings(mapped.collect()).unwrap();
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Discards notifications of the previous run.
        while self.notify.try_recv(&mut [0; 4096]).is_ok() {}
        self.heard.clear();
        self.child = Some(command.spawn().unwrap());
        self.told("READY=1").await;
    }

    /// Waits for a notification that contains these words, or returns an earlier one. Panics with the log if
    /// there is none.
    async fn told(&mut self, words: &str) -> String {
        if let Some(place) = self.heard.iter().position(|said| said.contains(words)) {
            return self.heard.remove(place);
        }
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            let Ok(length) = timeout_at(end, self.notify.recv(&mut buffer)).await else {
                panic!("no {words} but {:?}; {}", self.heard, self.log());
            };
            let said = String::from_utf8(buffer[..length.unwrap()].to_vec()).unwrap();
            if said.contains(words) {
                return said;
            }
            self.heard.push(said);
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    async fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        soon(spawn_blocking(move || child.wait())).await.unwrap().unwrap();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

async fn over_tcp(address: SocketAddr) -> std::io::Result<MaglevClient<Channel>> {
    let stream = TcpStream::connect(address).await?;
    Ok(client(stream).await)
}

async fn over_unix(path: &Path) -> std::io::Result<MaglevClient<Channel>> {
    let stream = UnixStream::connect(path).await?;
    Ok(client(stream).await)
}

/// A client on this connection only.
async fn client<S>(stream: S) -> MaglevClient<Channel>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| std::io::Error::other("the connection was lost")) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    MaglevClient::new(endpoint.connect_with_connector(connector).await.unwrap())
}

async fn is_scraped(mut stream: TcpStream) -> bool {
    let mut answer = Vec::new();
    let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: brain\r\nConnection: close\r\n\r\n").await;
    let read = stream.read_to_end(&mut answer).await;
    asked.is_ok() && read.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

async fn pause(client: &mut MaglevClient<Channel>) -> Result<(), Status> {
    let request = ChangeBackendRequest { name: "b1".to_owned(), ..ChangeBackendRequest::default() };
    soon(client.pause_backend(request)).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_refuse_no_connection() {
    let (mut manager, address, unix) = Manager::with_sockets();
    manager.start(&["--grpc", "127.0.0.1:1"], &[]).await;
    let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let prometheus = manager.prometheus.unwrap();
    let clients: Vec<_> = (0..3)
        .map(|number| {
            let (stop, connections, unix) = (Arc::clone(&stop), Arc::clone(&connections), unix.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::Relaxed) {
                    // Connecting fails while nobody listens.
                    if number == 2 {
                        let stream = soon(TcpStream::connect(prometheus)).await.unwrap();
                        connections.fetch_add(1, Ordering::Relaxed);
                        answered += u32::from(soon(is_scraped(stream)).await);
                        continue;
                    }
                    let mut client = if number == 0 {
                        soon(over_tcp(address)).await.unwrap()
                    } else {
                        soon(over_unix(&unix)).await.unwrap()
                    };
                    connections.fetch_add(1, Ordering::Relaxed);
                    answered += u32::from(soon(client.get_status(GetStatusRequest {})).await.is_ok());
                }
                answered
            })
        })
        .collect();
    let more = async || {
        let before = connections.load(Ordering::Relaxed);
        while connections.load(Ordering::Relaxed) < before + 20 {
            tokio::task::yield_now().await;
        }
    };
    let mut lost = 0;
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL] {
        soon(more()).await;
        manager.end(signal).await;
        manager.start(&[], &[]).await;
        // One call per client hit the process's end: these clients do not reconnect by themselves.
        lost += 3;
    }
    soon(more()).await;
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += soon(client).await.unwrap();
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!(
        answered + lost >= connections,
        "{connections} connections, {answered} answered\n{}",
        manager.log()
    );
    manager.end(Signal::SIGTERM).await;
    assert!(unix.exists(), "the socket is the service manager's");
}

#[tokio::test]
async fn given_sockets_have_roles_by_their_kind() {
    let (mut manager, address, unix) = Manager::with_sockets();
    manager.start(&[], &[]).await;
    let mut tcp = soon(over_tcp(address)).await.unwrap();
    let status = pause(&mut tcp).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("someone on this machine, from 127.0.0.1:"), "{status}");
    pause(&mut soon(over_unix(&unix)).await.unwrap()).await.unwrap();
    let log = manager.log();
    let line = log.lines().find(|line| line.contains("operator command")).expect(&log);
    let who = format!(
        "(uid {})\" from=\"process {}\" what=\"set backend b1 pause\"",
        nix::unistd::getuid(),
        nix::unistd::getpid()
    );
    assert!(line.contains(&who), "{line}");
}

/// Waiting for a pipe would block this reload and all later ones.
#[tokio::test]
async fn reload_whose_file_is_a_pipe_is_refused_and_the_next_one_counts() {
    let mut manager = Manager::new();
    let (socket, file) = (manager.path("brain.sock"), manager.path("maglev.yaml"));
    manager.start(&["--grpc", &format!("unix:{}", socket.display())], &[]).await;
    let pid = Pid::from_raw(manager.child.as_ref().unwrap().id().try_into().unwrap());
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRUSR).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    manager.told("RELOADING=1").await;
    manager.told("READY=1").await;
    let log = manager.log();
    assert!(log.contains("configuration refused") && log.contains("it is not a regular file"), "{log}");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, CONFIG).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    manager.told("RELOADING=1").await;
    manager.told("READY=1").await;
    assert!(manager.log().contains("configuration read"), "{}", manager.log());
    manager.end(Signal::SIGTERM).await;
}

/// Backends are checked even if operators and Prometheus cannot connect.
#[tokio::test]
async fn port_that_is_taken_is_told_and_tried_again_while_all_else_goes_on() {
    let mut manager = Manager::new();
    let taken = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let [grpc, metrics] = taken.each_ref().map(|taken| taken.local_addr().unwrap());
    let socket = manager.path("brain.sock");
    let addresses = format!("{grpc},unix:{}", socket.display());
    let environment = [("MAGLEV_METRICS", metrics.to_string())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    manager.without_metrics = true;
    manager.start(&["--grpc", &addresses], &environment).await;
    pause(&mut soon(over_unix(&socket)).await.unwrap()).await.unwrap();
    let mut both = [grpc.to_string(), format!("{metrics} (metrics)")];
    both.sort();
    manager.told(&both.map(|address| format!("; NOT LISTENING on {address}")).concat()).await;
    let log = manager.log();
    assert!(log.contains(&format!("cannot listen on {grpc}: Address already in use")), "{log}");
    assert!(
        log.contains("choose another with --grpc") && log.contains("choose another with --metrics"),
        "{log}"
    );
    drop(taken);
    soon(async {
        while over_tcp(grpc).await.is_err() {
            tokio::task::yield_now().await;
        }
        while TcpStream::connect(metrics).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    manager.end(Signal::SIGTERM).await;
}

#[tokio::test]
async fn service_manager_is_told_how_it_goes() {
    let mut manager = Manager::new();
    let socket = manager.path("brain.sock");
    let address = format!("unix:{}", socket.display());
    let quick = [("WATCHDOG_USEC", "20000")];
    manager.start(&["--grpc", &address], &quick).await;
    soon(over_unix(&socket)).await.expect("it listens before it says that it is ready");
    manager.told("STATUS=1 of 1 frontends up, 1 of 1 backends up").await;
    manager.told("WATCHDOG=1").await;
    manager.told("WATCHDOG=1").await;
    let pid = Pid::from_raw(manager.child.as_ref().unwrap().id().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    assert!(manager.told("RELOADING=1").await.contains("MONOTONIC_USEC="));
    manager.told("READY=1").await;
    kill(pid, Signal::SIGTERM).unwrap();
    manager.told("STOPPING=1").await;
    let status = soon(spawn_blocking({
        let mut child = manager.child.take().unwrap();
        move || child.wait()
    }));
    assert!(status.await.unwrap().unwrap().success());
    assert!(!socket.exists());
}
