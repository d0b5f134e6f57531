//! Commands from a terminal.

use std::env;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::args::Options;
use crate::client::Client;
use crate::error::Error;
use crate::shell::assistant::Assistant;
use crate::shell::editor::{LineEditor, Typed};
use crate::shell::session::{self, Done, Session};
use crate::shell::{history, text};
use crate::style::printable;
use maglev_proto::client::ServerAddress;

/// Timeout of the greeting, for connecting to maglev-brain and then for its version.
const GREETING: Duration = Duration::from_secs(2);

/// Default port of maglev-brain.
const DEFAULT_PORT: u16 = 17090;

/// Exit code if the terminal cannot be read any more.
const NO_TERMINAL: u8 = 1;

/// Returns the shell's own exit code; failures of commands are shown, but do not count.
pub(crate) fn run(options: &Options, mut session: Session, assistant: Rc<Assistant>) -> Result<u8, Error> {
    session.listen_for_ctrl_c().map_err(Error::Runtime)?;
    greet(options, &session);
    let history = history::path(env::var_os("XDG_STATE_HOME").as_deref(), env::var_os("HOME").as_deref());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let prompt = format!("maglev@{}> ", names(&options.servers(), host.trim()));
    let mut editor = LineEditor::new(assistant, prompt, history::prepared(history))
        .map_err(|error| Error::Runtime(io::Error::other(error)))?;
    let mut kept = (String::new(), String::new());
    loop {
        let (left, right) = std::mem::take(&mut kept);
        match editor.read((&left, &right)) {
            Ok(Typed::Line(line)) => {
                if !line.trim().is_empty() {
                    editor.keep(&line);
                }
                if session.run(&line) == Done::Leave {
                    return Ok(0);
                }
            }
            Ok(Typed::Question(line, cursor)) => {
                let (left, right) = line.split_at_checked(cursor).unwrap_or((&line, ""));
                session.answer_question(left);
                kept = (left.to_owned(), right.to_owned());
            }
            Ok(Typed::Interrupt) => {}
            Ok(Typed::End) => return Ok(0),
            Err(error) => {
                session::tell(&format!("maglevc: cannot read from the terminal: {error}\n"));
                return Ok(NO_TERMINAL);
            }
        }
    }
}

/// The shell starts even if the server does not answer.
fn greet(options: &Options, session: &Session) {
    let within = options.timeout.min(GREETING);
    for server in options.servers() {
        let status =
            session.block_on(async { Client::connect(&server, &options.tls, within).await?.status().await });
        match status {
            Ok(status) => session::say(&text::greeting(&server.to_string(), Some(&status.version))),
            Err(error) => {
                session::say(&text::greeting(&server.to_string(), None));
                session::tell(&error.report(false));
            }
        }
    }
}

/// The servers' part of the prompt.
fn names(servers: &[ServerAddress], host: &str) -> String {
    servers.iter().map(|server| place(server, host)).collect::<Vec<_>>().join(",")
}

/// A server's part of the prompt: this host's name, or the address of another one.
fn place(server: &ServerAddress, host: &str) -> String {
    let is_here = match server {
        ServerAddress::Unix(_) => true,
        ServerAddress::Tls { .. } => false,
        // Another port may be a tunnel to anywhere.
        ServerAddress::Tcp { host, port } => {
            *port == DEFAULT_PORT && matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1")
        }
    };
    if is_here && !host.is_empty() { printable(host) } else { printable(&server.to_string()) }
}

#[cfg(test)]
mod tests;
