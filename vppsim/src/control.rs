//! The control socket, through which faults are set at run time: one command a line, and one line in answer
//! to each, which begins with `ok` or `error`.
//!
//! One task accepts, and a task per connection answers until the client disconnects or the accepting task
//! ends. Both may be aborted.

#[cfg(test)]
mod tests;

use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tracing::{debug, info, warn};

use crate::faults::SetFault;
use crate::faults::grammar::{Command, FORMS, Form};
use crate::host::Host;
use crate::lb::Lb;

/// Maximum length of a line, in bytes; every command is far shorter.
const MAX_LINE: usize = 4096;

/// Maximum number of connections served at once. Further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 16;

/// Maximum number of connections waiting to be accepted; further ones wait in connect.
const BACKLOG: i32 = 16;

/// An idle connection is closed after this time, as is one that does not read its answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum duration of `wait`.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Pause after a possibly lasting error of accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens at a path where nothing is. Nobody but this user can connect.
///
/// # Errors
/// Those of the system.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before it listens: until then nobody can connect.
    set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(std::os::fd::OwnedFd::from(socket).into())
}

/// Serves the control socket for ever.
pub async fn serve(host: Arc<Host>, listener: UnixListener) {
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CONNECTIONS => accepted,
            Some(_) = clients.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let host = Arc::clone(&host);
                clients.spawn(async move {
                    if let Err(error) = serve_client(&host, stream).await {
                        debug!(%error, "control connection closed");
                    }
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_client(
    host: &Arc<Host>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_LINE));
    while let Ok(Some(line)) = timeout(IDLE_TIMEOUT, lines.next()).await {
        let answer = match line {
            Ok(line) => answer(host, &line).await,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                format!(
                    "error a line of more than {MAX_LINE} bytes found, expected a command; help tells them"
                )
            }
            Err(error) => return Err(error),
        };
        if timeout(IDLE_TIMEOUT, lines.send(answer)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Executes a line; returns the result as one line.
pub async fn answer(host: &Arc<Host>, line: &str) -> String {
    let command = match line.parse::<Command>() {
        Ok(command) => command,
        Err(error) => return format!("error {error}"),
    };
    match carry_out(host, command).await {
        Ok(done) => {
            info!(command = line, answer = done, "control");
            format!("ok {done}")
        }
        Err(error) => format!("error {error}"),
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No room for a fault.
    #[error(transparent)]
    TooMany(#[from] crate::faults::TooMany),
    /// Waited for nothing.
    #[error(transparent)]
    Wait(#[from] crate::host::WaitError),
    /// VPP was not restarted.
    #[error(transparent)]
    Restart(#[from] crate::host::RestartError),
    /// The stats segment has no room.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// There is no such fault.
    #[error("no fault {0} is set; list tells those that are")]
    NotSet(u64),
}

/// Carries out a command and tells what was done.
///
/// # Errors
/// When it cannot be done now.
pub async fn carry_out(host: &Arc<Host>, command: Command) -> Result<String, ControlError> {
    Ok(match command {
        Command::Set(fault) => {
            let text = fault.to_string();
            format!("fault {}: {text}", host.set_fault(fault)?)
        }
        Command::Hang => {
            host.hang();
            "hung until resume or clear".to_owned()
        }
        Command::Resume => {
            host.resume();
            "not hung".to_owned()
        }
        Command::Restart(restart) => {
            let life = host.restart_fully(restart).await?;
            format!("restarted with pid {}", life.pid)
        }
        Command::Stats(fault) => {
            host.set_stats_fault(fault)?;
            fault.to_string()
        }
        Command::Wait(number) => {
            host.fault_hit(number, LONGEST_WAIT).await?;
            format!("fault {number} has befallen a request")
        }
        Command::Clear(None) => {
            host.clear_faults();
            host.clear_stats_faults()?;
            "no faults".to_owned()
        }
        Command::Clear(Some(number)) if host.clear_fault(number) => format!("fault {number} ended"),
        Command::Clear(Some(number)) => return Err(ControlError::NotSet(number)),
        Command::List => list(host),
        Command::Rebuilds => format!("{} rebuilds", host.with_lb(Lb::rebuilds)),
        Command::Help(Some(form)) => form.line(),
        Command::Help(None) => FORMS.iter().map(Form::line).collect::<Vec<_>>().join("; "),
    })
}

fn list(host: &Host) -> String {
    let faults = host.faults();
    let mut parts: Vec<_> = faults.iter().map(describe).collect();
    parts.extend(host.stats_faults().iter().map(ToString::to_string));
    if host.is_hung() {
        parts.push("hung".to_owned());
    }
    if parts.is_empty() { "no faults".to_owned() } else { parts.join("; ") }
}

fn describe(set: &SetFault) -> String {
    let spent = if set.is_spent() { ", spent" } else { "" };
    format!("fault {}: {} ({} of {} requests{spent})", set.number, set.fault, set.hits, set.seen)
}
