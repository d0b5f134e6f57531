//! The shell: lines from a terminal or a pipe, each executed like a one-shot command.
//!
//! `words` splits a line, `walk` follows it through the `tree`, `follow` finds what can come next among words
//! and `names`: these are pure. `live` fetches names from maglev-brain, `editor` is the terminal, `assistant`
//! connects them. `prompt` and `pipe` read the lines, `session` executes them. Each command connects anew, so
//! a restart of maglev-brain affects only the command in progress.
//!
//! The only tasks are those that fetch names; a command interrupted by Ctrl-C is dropped where it waits, as
//! if the program had ended.

mod assistant;
mod editor;
mod events;
mod follow;
mod history;
mod live;
mod names;
mod pipe;
mod prompt;
mod remarks;
mod session;
mod text;
mod walk;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::rc::Rc;

use tokio::runtime::{self, Runtime};

use crate::args::Options;
use crate::error::Error;
use crate::shell::assistant::Assistant;
use crate::shell::follow::follow;
use crate::shell::live::Live;
use crate::shell::names::Names;
use crate::shell::session::Session;
use crate::shell::walk::walk;
use crate::shell::words::Word;
use crate::tree;

/// Completions of the last word of a line, one per line.
///
/// # Errors
/// If the process cannot start threads.
pub(crate) fn complete(options: &Options, line: &str) -> Result<String, Error> {
    let runtime = background()?;
    let live = Live::new(runtime.handle().clone(), options);
    let words = Assistant::new(tree::of_program(), live).words(line);
    runtime.shutdown_background();
    Ok(words.iter().map(|word| format!("{word}\n")).collect())
}

/// Explains a command line that clap rejected with this error.
pub(crate) fn explain(arguments: &[OsString], error: &clap::Error) -> String {
    let root = tree::of_program();
    let (mut line, mut words) = (String::new(), Vec::new());
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        let is_plain =
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"\\#".contains(c));
        let start = line.len();
        line += &if is_plain { text.clone() } else { format!("'{}'", text.replace('\'', "'\\''")) };
        words.push(Word { text, start, end: line.len() });
        line.push(' ');
    }
    match walk(&root, &words) {
        Err(misstep) => text::misstep(line.trim_end(), &misstep),
        Ok(walk) if !walk.is_complete() => {
            text::incomplete(&line, &follow(&root, &line, &Names::default()).unwrap_or_default())
        }
        Ok(_) => text::refused(line.trim_end(), session::place(error, &words), error),
    }
}

/// Names are fetched while a line is typed: the terminal has the main thread, the network another one.
fn background() -> Result<Runtime, Error> {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(Error::Runtime)
}

/// Runs until the input ends, or `exit`. `given` are the program's own options, which apply to each line. Returns the
/// exit code: from a pipe, that of the last command that failed; from a terminal, 0.
///
/// # Errors
/// If the process cannot start threads. Failures of commands are shown instead.
pub(crate) fn run(options: &Options, given: Vec<OsString>) -> Result<u8, Error> {
    let runtime = background()?;
    let live = Live::new(runtime.handle().clone(), options);
    let assistant = Rc::new(Assistant::new(tree::of_shell(), live));
    let session = Session::new(runtime.handle().clone(), Rc::clone(&assistant), given);
    let code = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        prompt::run(options, session, assistant)
    } else {
        Ok(pipe::run(session))
    };
    // A pending name lookup would otherwise delay the exit until the resolver gives up.
    runtime.shutdown_background();
    code
}
