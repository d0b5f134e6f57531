//! The shell: lines from a terminal, or from a pipe, each done like a command of its own.
//!
//! `words` cuts a line, `walk` follows it through the `tree`, `follow` finds what can come next among words and
//! `names`: these are pure. `live` asks maglev-brain for names, `editor` is the terminal, `assistant` stands
//! between them. `prompt` and `pipe` read the lines, `session` has them done. Each command connects anew, so
//! that a restart of maglev-brain shows in none but the one it meets.
//!
//! Beside the names' tasks there is none; a command that Ctrl-C ends is dropped where it waits, as if the
//! program ended.

mod assistant;
mod editor;
mod events;
mod follow;
mod history;
mod live;
mod names;
mod pipe;
mod prompt;
mod session;
mod text;
mod walk;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::rc::Rc;

use tokio::runtime;

use crate::args::Options;
use crate::error::Error;
use crate::shell::assistant::Assistant;
use crate::shell::live::Live;
use crate::shell::session::Session;
use crate::tree;

/// Runs until the input ends, or `exit`. `given` is what the program was started with, which holds for each
/// line.
///
/// # Errors
///
/// If the process cannot have threads. What goes wrong with a command is told, and makes the exit code: that of
/// the last one that failed, if the commands came from a pipe; 0 from a terminal.
pub(crate) fn run(options: &Options, given: Vec<OsString>) -> Result<u8, Error> {
    // Names are fetched while a line is typed: the terminal has the main thread, the network another one.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let live = Live::new(runtime.handle().clone(), options);
    let assistant = Rc::new(Assistant::new(tree::of_shell(), live));
    let session = Session::new(runtime.handle().clone(), Rc::clone(&assistant), given);
    let code = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        prompt::run(options, session, assistant)
    } else {
        Ok(pipe::run(session))
    };
    // A name that is still being looked up would hold the process until the resolver gives up.
    runtime.shutdown_background();
    code
}
