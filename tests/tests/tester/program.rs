//! The program as it is typed, with what it prints.

use std::process::Stdio;

use maglev_tests::{binaries, wait};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Exit code when a limit was exceeded, and when nothing could be tested.
pub(crate) const EXCEEDED: i32 = 1;
pub(crate) const NOT_TESTED: i32 = 3;

/// A running `maglevt --json`.
pub(crate) struct Maglevt {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(binaries::program("maglevt").unwrap());
    command.env_clear().args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end: exit code, standard output, standard error.
pub(crate) async fn run(words: &[&str]) -> (i32, String, String) {
    let output = timeout(wait::PATIENCE, command(words).output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

impl Maglevt {
    pub(crate) fn start(words: &[&str]) -> Self {
        let words: Vec<_> = ["--json"].iter().chain(words).copied().collect();
        let mut child = command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line, which comes every second.
    pub(crate) async fn next(&mut self) -> Value {
        let line = timeout(wait::PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The first line in which the only VIP is like this.
    pub(crate) async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let line = self.next().await;
                if is(&line["vips"][0]) {
                    return line["vips"][0].clone();
                }
            }
        };
        timeout(wait::PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited for {what}, in vain"))
    }

    /// Stops it as an operator does; its exit code and the summary of the only VIP, beside the whole of it.
    pub(crate) async fn stop(mut self) -> (i32, Value, Value) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        let summary = loop {
            let line = self.next().await;
            if line["type"] == "summary" {
                break line;
            }
        };
        let status = timeout(wait::PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status.code().unwrap(), summary["vips"][0].clone(), summary)
    }
}

/// A number of a line.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
