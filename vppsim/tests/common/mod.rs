//! Starts the real program in a folder of its own.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use vppapi::client::{Client, ConnectOptions};
use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2};
use vppapi::types::{Encap, VipId};

/// Only a test that would otherwise hang ever waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the test hangs")
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vppsim"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) struct Vppsim {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub run_dir: PathBuf,
}

impl Vppsim {
    /// Returns once its sockets can be used.
    pub(crate) async fn start(run_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_with(run_dir, arguments, &[]).await
    }

    /// Returns once its sockets can be used.
    pub(crate) async fn start_with(run_dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.arg("--run-dir").arg(run_dir).args(arguments).envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            let count = soon(stderr.read_line(&mut line)).await.unwrap();
            assert_ne!(count, 0, "vppsim ended before it was ready");
        }
        Self { child, stderr, run_dir: run_dir.to_owned() }
    }

    pub(crate) fn api(&self) -> PathBuf {
        self.run_dir.join("api.sock")
    }

    pub(crate) fn stats(&self) -> PathBuf {
        self.run_dir.join("stats.sock")
    }

    /// Sends a command to the control socket and tells the answer.
    pub(crate) async fn control(&self, command: &str) -> String {
        let exchange = async {
            let mut stream = BufReader::new(UnixStream::connect(self.run_dir.join("control.sock")).await?);
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        soon(exchange).await.unwrap().trim_end().to_owned()
    }

    /// Sends a command that must succeed; tells the answer behind its "ok".
    pub(crate) async fn told(&self, command: &str) -> String {
        let answer = self.control(command).await;
        answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{command}: {answer}")).to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.api(), ConnectOptions::default()).await.unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end; tells the status and what it logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon(self.child.wait()).await.unwrap();
        let mut log = String::new();
        soon(self.stderr.read_to_string(&mut log)).await.unwrap();
        (status, log)
    }
}

pub(crate) fn add_vip(vip: VipId) -> LbAddDelVipV2 {
    LbAddDelVipV2::gre(vip, Encap::Gre4, 1024)
}

pub(crate) fn add_as(vip: VipId, last: u8) -> LbAddDelAsV2 {
    LbAddDelAsV2 { vip, as_address: [127, 99, 0, last].into(), weight: 100, is_del: false, is_flush: false }
}
