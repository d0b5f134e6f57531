//! The screen in a real terminal, by way of tmux.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use maglev_tests::stack::Stack;
use maglev_tests::{binaries, skipped, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    fn is_there() -> bool {
        Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success())
    }

    /// A terminal of this size, in which a shell runs this, says its exit code and waits.
    fn start(directory: &Path, width: u16, height: u16, line: &str) -> Self {
        let tmux = Self { socket: directory.join(format!("tmux-{width}")) };
        let line = format!("echo before; {line}; echo exit=$?; cat");
        let size = ["-x", &width.to_string(), "-y", &height.to_string()].map(str::to_owned);
        let output = tmux.run(
            &[
                &["-f", "/dev/null", "new-session", "-d"],
                &[&*size[0], &size[1], &size[2], &size[3]],
                &["sh", "-c", &line][..],
            ]
            .concat(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        tmux
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new("tmux")
            .env("TERM", "xterm-256color")
            .arg("-S")
            .arg(&self.socket)
            .args(words)
            .output()
            .unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p"]).stdout).unwrap()
    }

    fn press(&self, keys: &str) {
        self.run(&["send-keys", keys]);
    }

    async fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let look = || async {
            let text = self.text();
            if is(&text) { Ok(Some(text)) } else { anyhow::bail!("it shows\n{text}") }
        };
        wait::until(what, look).await.unwrap()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// The process of the program in a terminal.
fn process(server: &str) -> Pid {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut found = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let mut words = line.split('\0');
        (words.next()?.ends_with("/maglevt") && words.any(|word| word == server)).then(|| Pid::from_raw(pid))
    });
    found.next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_fits_both_sizes_obeys_keys_and_gives_the_terminal_back() {
    if !Tmux::is_there() {
        return skipped("the screen in a terminal: tmux is not installed");
    }
    let stack = Stack::start_with(None).await.unwrap();
    let server = format!("unix:{}", stack.brain_socket().display());
    let program = binaries::program("maglevt").unwrap();
    for (width, height) in [(80, 24), (200, 60)] {
        let line = format!("{} --server {server} --flows 5 --interval 20ms", program.display());
        let tmux = Tmux::start(stack.directory(), width, height, &line);
        let is_whole = |text: &str| {
            let lines: Vec<_> = text.lines().collect();
            lines.first().is_some_and(|line| line.starts_with("maglevt"))
                && lines.last().is_some_and(|line| line.starts_with("q quit"))
                && text.contains("> www")
                && text.contains("web1")
                && text.contains("5 of 5 open")
        };
        let text = tmux.until("all panels", is_whole).await;
        assert_eq!(text.lines().count(), usize::from(height), "{text}");
        tmux.press("p");
        tmux.until("the pause", |text| text.contains("PAUSED")).await;
        tmux.press("/");
        tmux.press("x");
        tmux.until("the filter", |text| text.contains("No VIP matches")).await;
        tmux.press("Escape");
        tmux.until("no filter", |text| text.contains("> www")).await;
        if width == 80 {
            tmux.press("q");
        } else {
            kill(process(&server), Signal::SIGTERM).unwrap();
        }
        let text = tmux.until("the end", |text| text.contains("exit=0")).await;
        assert!(
            text.starts_with("before\n") && !text.contains("maglevt  "),
            "the screen is as it was:\n{text}"
        );
        tmux.press("x");
        tmux.until("typed letters to be seen again", |text| text.contains("exit=0\nx")).await;
    }
}
