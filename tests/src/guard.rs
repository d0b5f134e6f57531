//! Cleans up, whichever way the demo or a test ends.
//!
//! A small separate process is told through a pipe what was created. When the pipe closes - at the end, on a
//! panic, or because the process was killed - it ends the processes, removes the VIPs from a VPP that is not
//! ours, and deletes the directory.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{AgentClient, BrainHello, PROTOCOL_VERSION};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::stack::POLICY;
use crate::{binaries, wait};

/// Hidden subcommand of the demo that is the guard.
pub const SUBCOMMAND: &str = "guard";
/// Time that a process gets to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Handle to a guard process. Dropping it cleans up, and waits until that is done.
#[derive(Debug)]
pub struct Guard {
    process: Child,
}

impl Guard {
    /// Starts a guard that removes `directory` at the end.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        let process = Command::new(binaries::program("demo")?)
            .arg(SUBCOMMAND)
            // No build at the end: existing programs will do.
            .env_remove("CARGO")
            .stdin(Stdio::piped())
            // Ctrl-C goes to a terminal's whole group; the guard must outlive it.
            .process_group(0)
            .spawn()
            .context("cannot start the guard")?;
        let mut guard = Self { process };
        guard.tell(&format!("directory {}", directory.display()))?;
        Ok(guard)
    }

    /// Registers a process to end.
    pub fn process(&mut self, pid: u32) -> anyhow::Result<()> {
        self.tell(&format!("process {pid}"))
    }

    /// Unregisters a process that has ended.
    pub fn forget(&mut self, pid: u32) -> anyhow::Result<()> {
        self.tell(&format!("forget {pid}"))
    }

    /// Registers a VPP that is not ours: its VIPs must be removed.
    pub fn clean(&mut self, vpp_run_dir: &Path) -> anyhow::Result<()> {
        self.tell(&format!("clean {}", vpp_run_dir.display()))
    }

    fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.process.stdin.as_mut().context("the guard has no pipe")?;
        writeln!(stdin, "{line}").context("the guard is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the guard cannot be waited for: {error}");
        }
    }
}

#[derive(Debug, Default)]
struct Made {
    processes: BTreeSet<i32>,
    clean: Option<PathBuf>,
    directories: Vec<PathBuf>,
}

/// The guard process itself: reads what was made until its input ends, then cleans up.
pub fn run() -> anyhow::Result<()> {
    let mut made = Made::default();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (verb, rest) = line.split_once(' ').with_context(|| format!("what is {line:?}?"))?;
        match verb {
            "process" => drop(made.processes.insert(rest.parse()?)),
            "forget" => drop(made.processes.remove(&rest.parse()?)),
            "clean" => made.clean = Some(rest.into()),
            "directory" => made.directories.push(rest.into()),
            other => anyhow::bail!("what is {other:?}?"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(clean_up(made));
    Ok(())
}

async fn clean_up(mut made: Made) {
    // A parent that was killed may have had no time to register its last one.
    made.processes.extend(made.directories.iter().flat_map(|directory| processes_in(directory)));
    end(&made.processes).await;
    if let Some(vpp_run_dir) = &made.clean {
        match remove_vips(vpp_run_dir).await {
            Ok(changes) => eprintln!("took {changes} changes back out of VPP"),
            Err(error) => eprintln!("cannot take the VIPs back out of VPP: {error:#}"),
        }
    }
    for directory in &made.directories {
        if let Err(error) = std::fs::remove_dir_all(directory) {
            eprintln!("cannot remove {}: {error}", directory.display());
        }
    }
}

async fn end(processes: &BTreeSet<i32>) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for &pid in processes.iter().filter(|&&pid| runs(pid)) {
            // It may end between the check and the signal, which is fine.
            kill(Pid::from_raw(pid), signal).ok();
        }
        let ended = async {
            let mut ticks = interval(Duration::from_millis(10));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while processes.iter().any(|&pid| runs(pid)) {
                ticks.tick().await;
            }
        };
        if timeout(GRACE, ended).await.is_ok() {
            return;
        }
    }
    eprintln!("some of the processes {processes:?} do not end");
}

/// The processes whose working directory this is, which a stack starts its own in.
fn processes_in(directory: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let works_there = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|found| found == directory)
    };
    let pids = entries.filter(works_there).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.collect()
}

/// Whether a process runs. One that has ended and was not waited for does not.
fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// Removes every VIP through an agent of its own, since the others may have died in any way.
async fn remove_vips(vpp_run_dir: &Path) -> anyhow::Result<usize> {
    let directory = tempfile::Builder::new().prefix("maglev-guard-").tempdir()?;
    let socket = directory.path().join("dpagent.sock");
    let policy = directory.path().join("policy.yaml");
    std::fs::write(&policy, POLICY).context("cannot write the agent's policy")?;
    let mut agent = tokio::process::Command::new(binaries::program("maglev-dpagent")?)
        .arg("--api-socket")
        .arg(vpp_run_dir.join("api.sock"))
        .arg("--stats-socket")
        .arg(vpp_run_dir.join("stats.sock"))
        .arg("--listen")
        .arg(&socket)
        .arg("--policy")
        .arg(&policy)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start an agent")?;
    let report = wait::until("VPP to be emptied", || async {
        let client = connect(&socket).await?;
        Ok(Some(client.sync_all(tarpc::context::current(), vec![], vec![]).await??))
    });
    let changes = report.await?.changes();
    agent.kill().await?;
    Ok(changes)
}

/// A client of an agent that has said hello.
pub async fn connect(socket: &Path) -> anyhow::Result<AgentClient> {
    let stream = UnixStream::connect(socket).await?;
    let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
    let client = AgentClient::new(tarpc::client::Config::default(), transport).spawn();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version, instance: fastrand::u64(..) };
    client.hello(tarpc::context::current(), brain).await??;
    Ok(client)
}
