//! A pseudo-terminal with the program on it, for typing keys and waiting for text.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time;

/// Only reached by a failing test, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Columns in which nothing wraps.
const WIDE: u16 = 200;

pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Output received and not matched yet.
    raw: Vec<u8>,
    /// Where the program keeps its history.
    pub(crate) state: TempDir,
}

impl Terminal {
    pub(crate) fn start(server: &str, words: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, words, WIDE)
    }

    /// Starts another one with the same history.
    pub(crate) fn again(self, server: &str) -> Self {
        Self::start_in(self.state, server, &[], WIDE)
    }

    /// One of so many columns.
    pub(crate) fn start_in_columns(server: &str, columns: u16) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, &[], columns)
    }

    fn start_in(state: TempDir, server: &str, words: &[&str], columns: u16) -> Self {
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        // It makes the pseudo-terminal the controlling one, so that Ctrl-C sends a signal.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(env!("CARGO_BIN_EXE_maglevc")).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        command.env("MAGLEV_SERVER", server).env("XDG_STATE_HOME", state.path());
        let child = command.stdin(end()).stdout(end()).stderr(end()).kill_on_drop(true).spawn().unwrap();
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut glass = keyboard.try_clone().unwrap();
        let (show, screen) = mpsc::unbounded_channel();
        // Ends with the program, when the other end is closed.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = glass.read(&mut bytes) {
                if show.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, screen, raw: Vec::new(), state }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for this text after everything matched so far.
    pub(crate) async fn sees(&mut self, text: &str) {
        if !self.sees_within(PATIENCE, text).await {
            panic!("{text:?} did not come:\n{}", plain(&self.raw));
        }
    }

    /// Types until this text appears: on a busy machine, the first names may arrive too late.
    pub(crate) async fn types_until(&mut self, keys: &str, text: &str) {
        for _ in 0..PATIENCE.as_secs() {
            self.types(keys);
            if self.sees_within(Duration::from_secs(1), text).await {
                return;
            }
        }
        panic!("{text:?} did not come:\n{}", plain(&self.raw));
    }

    async fn sees_within(&mut self, patience: Duration, text: &str) -> bool {
        let seen = time::timeout(patience, async {
            loop {
                let plain = plain(&self.raw);
                if let Some(at) = plain.find(text) {
                    break plain[at + text.len()..].to_owned();
                }
                match self.screen.recv().await {
                    Some(bytes) => self.raw.extend(bytes),
                    None => panic!("the program ended before {text:?} came:\n{plain}"),
                }
            }
        });
        match seen.await {
            Ok(rest) => {
                self.raw = rest.into_bytes();
                true
            }
            Err(_) => false,
        }
    }

    /// Leaves with Ctrl-D at the next prompt. If typed earlier, the terminal itself would handle it.
    pub(crate) async fn leaves(&mut self) {
        self.sees("> ").await;
        self.types("\x04");
        assert_eq!(self.exit_code().await, 0);
    }

    pub(crate) async fn exit_code(&mut self) -> i32 {
        let status = time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        status.code().unwrap()
    }
}

/// Removes cursor sequences and normalizes line ends. Keeps an incomplete sequence.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.find(|c: char| c.is_ascii_alphabetic()) {
            Some(end) => plain.push_str(&part[end + 1..]),
            None => plain.push_str(&format!("\x1b[{part}")),
        }
    }
    plain.replace("\r\n", "\n")
}
