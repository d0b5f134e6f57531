//! `watch events --exec`: runs a command for each event, one at a time.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Time limit of a command, which is killed beyond it.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs a command with a shell, and the event on its standard input. While it runs, no further event is read; maglev-brain
/// tells how many it could not keep meanwhile.
///
/// # Errors
/// Why it failed, in words.
pub(crate) async fn run(command: &str, event: &str) -> Result<(), String> {
    run_within(LIMIT, command, event).await
}

async fn run_within(limit: Duration, command: &str, event: &str) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    // A group of its own, to be killed as a whole.
    shell.args(["-c", command]).stdin(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child = shell.spawn().map_err(|error| format!("cannot start /bin/sh: {error}"))?;
    let group = Group::of(&child);
    let ended = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A command need not read it.
            drop(stdin.write_all(event.as_bytes()).await);
        }
        child.wait().await
    };
    let ended = timeout(limit, ended).await;
    if ended.is_ok() {
        group.leave();
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{command}: {status}")),
        Ok(Err(error)) => Err(format!("{command}: {error}")),
        Err(_) => Err(format!("{command}: killed, since it has not ended within {} s", limit.as_secs())),
    }
}

/// Kills a group of processes when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// Lets it be: its first process has ended.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only if it has ended.
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn event_is_on_standard_input_and_failures_are_told() {
        assert_eq!(run("read line && test \"$line\" = event", "event\n").await, Ok(()));
        // Much more than a pipe holds, which nobody reads.
        assert_eq!(run("exit 0", &"x".repeat(1 << 20)).await, Ok(()));
        assert_eq!(run("exit 3", "event").await, Err("exit 3: exit status: 3".to_owned()));
        let late = run_within(Duration::from_millis(50), "sleep 1000 & wait", "event").await.unwrap_err();
        assert!(late.contains("killed, since it has not ended"), "{late}");
    }
}
