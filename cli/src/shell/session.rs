//! From a line to what is done.

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

/// Exit code of a line that is not understood.
pub(crate) const USAGE: u8 = 2;

/// Exit code of a command that was ended by Ctrl-C, as shells have it: 128 and the signal.
const INTERRUPTED: u8 = 130;

/// Time in which a command may end by itself after Ctrl-C.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Words whose commands change nothing.
const ONLY_READING: [&str; 2] = ["show", "watch"];

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// As the program would exit with.
    Code(u8),
    Leave,
}

/// Does lines.
pub(crate) struct Session {
    runtime: Handle,
    assistant: Rc<Assistant>,
    /// Options from the start of the program.
    given: Vec<OsString>,
    /// None: it ends the program, as always.
    ctrl_c: Option<Signal>,
}

impl Session {
    pub(crate) fn new(runtime: Handle, assistant: Rc<Assistant>, given: Vec<OsString>) -> Self {
        Self { runtime, assistant, given, ctrl_c: None }
    }

    /// From now on, Ctrl-C ends a command and not the program.
    pub(crate) fn listen_for_ctrl_c(&mut self) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        self.ctrl_c = Some(signal(SignalKind::interrupt())?);
        Ok(())
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Does what a line says; what is wrong with it goes to standard error.
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

    /// Tells what can follow behind this text.
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
        // Ended by a space, so that it tells what is behind the last word. A comment ends nothing that matters.
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
            tell("maglevc: that is for the command line, not for the shell\n");
            return Done::Code(USAGE);
        };
        let work = crate::once::run(command, &cli.options);
        let outcome = match &mut self.ctrl_c {
            None => Some(self.runtime.block_on(work)),
            Some(ctrl_c) => {
                // One from before the command is not meant for it.
                while ctrl_c.recv().now_or_never().flatten().is_some() {}
                self.runtime.block_on(async {
                    tokio::pin!(work);
                    tokio::select! {
                        outcome = &mut work => Some(outcome),
                        // The command may have a word of its own for it, and hear of it a little later.
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
                let begun = "maglevc: no longer waiting; the change may be made or not\n";
                tell(&format!("\n{}", if ONLY_READING.contains(&first) { "" } else { begun }));
                Done::Code(INTERRUPTED)
            }
        }
    }
}

/// Whether it is `--server`, alone or with its value.
fn is_server(word: &OsStr) -> bool {
    word == "--server" || word.as_encoded_bytes().starts_with(b"--server=")
}

/// The option adds up where it stands twice. A line that names servers means those, and not the shell's as well.
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

/// What stands before a `?` at the end.
fn without_question(line: &str) -> Option<&str> {
    let asked = line.trim_end().strip_suffix('?')?;
    (!matches!(split(asked).tail, Tail::Open(_) | Tail::Comment)).then_some(asked)
}

/// Where the word stands of which clap complains.
pub(super) fn place(error: &clap::Error, words: &[Word]) -> Option<Range<usize>> {
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    let named = kinds.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(text) => words.iter().rev().find(|word| word.text == *text),
        _ => None,
    });
    named.map(|word| word.start..word.end)
}

/// To standard output. If that is gone, the next command's answer says so.
pub(crate) fn say(text: &str) {
    drop(crate::once::print(text.as_bytes()));
}

/// To standard error.
pub(crate) fn tell(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
