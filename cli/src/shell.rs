//! The shell: lines from a terminal, or from a pipe, each done like a command of its own.
//!
//! `words` cuts a line, `walk` follows it through the `tree`, `follow` finds what can come next among words and
//! `names`: these are pure. `live` asks maglev-brain for names, `editor` is the terminal, `assistant` stands between
//! them. Each command connects anew, so that a restart of maglev-brain shows in none but the one it meets.

mod assistant;
mod editor;
mod follow;
mod history;
mod live;
mod names;
mod session;
mod text;
mod walk;
mod words;

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime;

use crate::address::ServerAddress;
use crate::args::Options;
use crate::client::Client;
use crate::error::Error;
use crate::shell::assistant::Assistant;
use crate::shell::editor::{LineEditor, Typed};
use crate::shell::live::Live;
use crate::shell::session::{Done, Session};
use crate::tree;

/// Bytes of a line from a pipe at most; a longer one ends the reading.
const LONGEST_LINE: u64 = 64 << 10;

/// How long the greeting waits for maglev-brain's version.
const GREETING: Duration = Duration::from_secs(2);

/// Runs until the input ends, or `exit`. `given` is what the program was started with, which holds for each line.
///
/// # Errors
///
/// If the process cannot have threads. What goes wrong with a command is told, and makes the exit code: that of the last
/// one that failed, if the commands came from a pipe; 0 from a terminal.
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
        on_terminal(options, session, assistant)
    } else {
        Ok(from_pipe(session))
    };
    // A name that is still being looked up would hold the process until the resolver gives up.
    runtime.shutdown_background();
    code
}

/// Commands line by line, all of them, as birdc does.
fn from_pipe(mut session: Session) -> u8 {
    let mut code = 0;
    loop {
        let mut line = Vec::new();
        // Locked for a line only: a command may read too.
        let read = io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let wrong = match read {
            Ok(0) => return code,
            Ok(_) if u64::try_from(line.len()).is_ok_and(|read| read >= LONGEST_LINE) => {
                format!("a line has more than {LONGEST_LINE} bytes; what follows is not read")
            }
            Ok(_) => match String::from_utf8(line) {
                Ok(line) => match session.run(line.trim_end_matches(['\n', '\r'])) {
                    Done::Leave => return code,
                    Done::Code(0) => continue,
                    Done::Code(failed) => {
                        code = failed;
                        continue;
                    }
                },
                Err(_) => {
                    session::tell("maglevc: a line is not UTF-8, and left out\n");
                    code = session::USAGE;
                    continue;
                }
            },
            Err(error) => format!("cannot read the next command: {error}"),
        };
        session::tell(&format!("maglevc: {wrong}\n"));
        return session::USAGE;
    }
}

fn on_terminal(options: &Options, mut session: Session, assistant: Rc<Assistant>) -> Result<u8, Error> {
    session.listen_for_ctrl_c().map_err(Error::Runtime)?;
    greet(options, &session);
    let history = history::prepared(history::path(
        std::env::var_os("XDG_STATE_HOME").as_deref(),
        std::env::var_os("HOME").as_deref(),
    ));
    let prompt = format!("maglev@{}> ", place(&options.server));
    let terminal = |error: rustyline::error::ReadlineError| Error::Runtime(io::Error::other(error));
    let mut editor = LineEditor::new(assistant, prompt, history).map_err(terminal)?;
    let mut kept = (String::new(), String::new());
    loop {
        let (left, right) = std::mem::take(&mut kept);
        match editor.read((&left, &right)).map_err(terminal)? {
            Typed::Line(line) => {
                if !line.trim().is_empty() {
                    editor.keep(&line);
                }
                if let Done::Leave = session.run(&line) {
                    return Ok(0);
                }
            }
            Typed::Question(line, cursor) => {
                let (left, right) = line.split_at_checked(cursor).unwrap_or((&line, ""));
                session.answer_question(left);
                kept = (left.to_owned(), right.to_owned());
            }
            Typed::Interrupt => {}
            Typed::End => return Ok(0),
        }
    }
}

/// An answer that is not there is no reason not to start.
fn greet(options: &Options, session: &Session) {
    let within = options.timeout.min(GREETING);
    let status = session.block_on(async { Client::connect(&options.server, within).await?.status().await });
    let server = options.server.to_string();
    match status {
        Ok(status) => session::say(&text::greeting(&server, Some(&status.version))),
        Err(error) => {
            session::say(&text::greeting(&server, None));
            session::tell(&error.report());
        }
    }
}

/// What the prompt calls the server: this host, or the address of another one.
fn place(server: &ServerAddress) -> String {
    let is_here = match server {
        ServerAddress::Unix(_) => true,
        ServerAddress::Tcp { host, port } => {
            // Another port may be a tunnel to anywhere.
            *port == DEFAULT_PORT && (host == "localhost" || host == "127.0.0.1" || host == "::1")
        }
    };
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if is_here && !name.is_empty() { name.to_owned() } else { server.to_string() }
}

/// Where maglev-brain listens unless told otherwise.
const DEFAULT_PORT: u16 = 9090;
