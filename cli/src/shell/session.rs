//! Executes the shell's lines.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io::{self, Write};
use std::iter;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::args::{Cli, Entry};
use crate::shell::assistant::Assistant;
use crate::shell::text;
use crate::shell::walk::{Walk, walk};
use crate::shell::words::{Line, Tail, Word, split};
use crate::tree;

/// Exit code of a line that cannot be parsed.
pub(crate) const USAGE: u8 = 2;

/// Exit code of a command interrupted by Ctrl-C, by the convention of shells: 128 plus the signal.
const INTERRUPTED: u8 = 130;

/// How long a command may take to end by itself after Ctrl-C.
const LAST_WORD: Duration = Duration::from_millis(100);

/// First words of read-only commands.
const ONLY_READING: [&str; 3] = ["show", "top", "watch"];

/// Result of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The program's exit code for it.
    Code(u8),
    Leave,
}

/// Does lines.
pub(crate) struct Session {
    runtime: Handle,
    assistant: Rc<Assistant>,
    /// Options given to the program.
    given: Vec<OsString>,
    /// `None`: Ctrl-C ends the program, as by default.
    ctrl_c: Option<Signal>,
}

impl Session {
    pub(crate) fn new(runtime: Handle, assistant: Rc<Assistant>, given: Vec<OsString>) -> Self {
        Self { runtime, assistant, given, ctrl_c: None }
    }

    /// From now on, Ctrl-C ends a command instead of the program.
    pub(crate) fn listen_for_ctrl_c(&mut self) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        self.ctrl_c = Some(signal(SignalKind::interrupt())?);
        Ok(())
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Executes a line; errors go to standard error.
    pub(crate) fn run(&mut self, line: &str) -> Done {
        if let Some(asked) = without_question(line) {
            self.answer_question(asked);
            return Done::Code(0);
        }
        let Line { words, tail } = split(line);
        if let Tail::Open(mark) = tail {
            tell(&format!("maglevc: the line ends without {}\n", mark.lack()));
            return Done::Code(USAGE);
        }
        let assistant = Rc::clone(&self.assistant);
        match walk(&assistant.tree, &words) {
            _ if words.is_empty() => Done::Code(0),
            Err(misstep) => {
                tell(&text::misstep(line, &misstep));
                Done::Code(USAGE)
            }
            Ok(walk) => self.go(line, &words, walk),
        }
    }

    /// Shows what can follow this text.
    pub(crate) fn answer_question(&self, text: &str) {
        match self.assistant.follow(text) {
            Ok(following) => say(&text::following(&following)),
            Err(misstep) => tell(&text::misstep(text, &misstep)),
        }
    }

    fn go(&mut self, line: &str, words: &[Word], walk: Walk<'_>) -> Done {
        if walk.path.first().is_some_and(|word| tree::LEAVE.contains(word)) && !walk.asks_help {
            return Done::Leave;
        }
        // The added space asks for what follows the last word. In a comment it changes nothing.
        let following = || self.assistant.follow(&format!("{} ", line.trim_end())).unwrap_or_default();
        if walk.asks_help {
            say(&text::help(walk.command, &walk.path, &following()));
            return Done::Code(0);
        }
        if !walk.is_complete() {
            tell(&text::incomplete(line, &following()));
            return Done::Code(USAGE);
        }
        match self.parse(&walk.line) {
            Ok(cli) => self.perform(&cli, walk.path.first().copied().unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                say(&error.to_string());
                Done::Code(0)
            }
            Err(error) => {
                tell(&text::refused(line, place(&error, words), &error));
                Done::Code(USAGE)
            }
        }
    }

    fn parse(&self, line: &[String]) -> Result<Cli, clap::Error> {
        let names_servers = line.iter().any(|word| is_server(word.as_ref()));
        let given = if names_servers { without_servers(&self.given) } else { self.given.clone() };
        let words = iter::once("maglevc".into()).chain(given);
        let words = words.chain(line.iter().map(Into::into));
        Cli::from_arg_matches(&self.assistant.tree.clone().try_get_matches_from(words)?)
    }

    fn perform(&mut self, cli: &Cli, first: &str) -> Done {
        let Some(Entry::Ask(command)) = &cli.command else {
            tell("maglevc: only available on the command line, not in the shell\n");
            return Done::Code(USAGE);
        };
        let work = crate::once::run(command, &cli.options);
        let outcome = match &mut self.ctrl_c {
            None => Some(self.runtime.block_on(work)),
            Some(ctrl_c) => {
                // Discards a Ctrl-C from before the command.
                while ctrl_c.recv().now_or_never().flatten().is_some() {}
                self.runtime.block_on(async {
                    tokio::pin!(work);
                    tokio::select! {
                        outcome = &mut work => Some(outcome),
                        // The command may handle Ctrl-C itself, and notice it slightly later.
                        _ = ctrl_c.recv() => timeout(LAST_WORD, &mut work).await.ok(),
                    }
                })
            }
        };
        match outcome {
            Some(Ok(code)) => Done::Code(code),
            Some(Err(error)) => {
                tell(&error.report(cli.options.json));
                Done::Code(error.exit_code())
            }
            None => {
                let begun = "maglevc: no longer waiting; the change may or may not have been made\n";
                tell(&format!("\n{}", if ONLY_READING.contains(&first) { "" } else { begun }));
                Done::Code(INTERRUPTED)
            }
        }
    }
}

/// Whether it is `--server`, with or without its value.
fn is_server(word: &OsStr) -> bool {
    word == "--server" || word.as_encoded_bytes().starts_with(b"--server=")
}

/// Options accumulate if given twice, but a line's own servers replace the shell's.
fn without_servers(given: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        if !is_server(word) {
            kept.push(word.clone());
        } else if word == "--server" {
            words.next();
        }
    }
    kept
}

/// The text before a final `?`.
fn without_question(line: &str) -> Option<&str> {
    let asked = line.trim_end().strip_suffix('?')?;
    (!matches!(split(asked).tail, Tail::Open(_) | Tail::Comment)).then_some(asked)
}

/// Position of the word that clap complains about.
pub(super) fn place(error: &clap::Error, words: &[Word]) -> Option<Range<usize>> {
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    let named = kinds.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(text) => words.iter().rev().find(|word| word.text == *text),
        _ => None,
    });
    named.map(|word| word.start..word.end)
}

/// Writes to standard output. If that is closed, the next command's answer reports it.
pub(crate) fn say(text: &str) {
    drop(crate::once::print(text.as_bytes()));
}

/// Writes to standard error.
pub(crate) fn tell(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
