//! What can go wrong, in words, with what to do next and the exit code.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tonic::{Code, Status};

use crate::address::ServerAddress;
use crate::client::Unresolved;
use crate::style::{printable, printable_lines};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect to {server}: {reason}")]
    Connect { server: ServerAddress, reason: String, kind: Option<ErrorKind> },
    #[error("cannot connect to {server}: {reason}")]
    Unresolved { server: ServerAddress, reason: String },
    #[error("no connection to {server} within {}", humantime::format_duration(*.timeout))]
    ConnectTimeout { server: ServerAddress, timeout: Duration },
    #[error("no answer from {server} within {}", humantime::format_duration(*.timeout))]
    AnswerTimeout { server: ServerAddress, timeout: Duration },
    /// Also what is seen of a server that speaks another protocol.
    #[error("the connection to {server} broke before the answer came: {reason}")]
    Broken { server: ServerAddress, reason: String },
    #[error("the server at {server} does not know this question")]
    NotServed { server: ServerAddress },
    /// The server's own words.
    #[error("{message}")]
    Refused { code: Code, message: String },
    #[error("cannot write the answer: {}", plain(.0))]
    Output(io::Error),
    #[error("cannot put the answer into JSON: {0}")]
    Json(serde_json::Error),
    #[error("cannot start: {}", plain(.0))]
    Runtime(io::Error),
}

impl Error {
    pub(crate) fn connect(server: &ServerAddress, error: Cause<'_>) -> Self {
        let (server, reason) = (server.clone(), root_cause(error));
        if chain(error).any(|error| error.is::<Unresolved>()) {
            return Self::Unresolved { server, reason };
        }
        let kind = chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
        Self::Connect { server, reason, kind }
    }

    /// A status that came over the wire is the server's; one with a cause was made up here, about the
    /// connection.
    pub(crate) fn status(server: &ServerAddress, status: &Status) -> Self {
        match (status.source(), status.code()) {
            (Some(cause), _) => Self::Broken { server: server.clone(), reason: root_cause(cause) },
            (None, Code::Unimplemented) => Self::NotServed { server: server.clone() },
            (None, code) => {
                let words = if status.message().is_empty() { code.description() } else { status.message() };
                Self::Refused { code, message: printable_lines(words) }
            }
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Connect { .. }
            | Self::Unresolved { .. }
            | Self::ConnectTimeout { .. }
            | Self::AnswerTimeout { .. }
            | Self::Broken { .. } => 3,
            Self::NotServed { .. }
            | Self::Refused { .. }
            | Self::Output(_)
            | Self::Json(_)
            | Self::Runtime(_) => 1,
        }
    }

    /// What to do next, where that is known.
    fn advice(&self) -> Option<String> {
        match self {
            Self::Connect { kind: Some(ErrorKind::PermissionDenied), .. } => {
                Some("your user may not open it: join the group that the socket belongs to".to_owned())
            }
            Self::Connect { server, .. } | Self::ConnectTimeout { server, .. } => Some(format!(
                "is maglev-brain running, and does it listen on {server} (its --grpc)? \
                 name another address with --server or MAGLEV_SERVER"
            )),
            Self::Unresolved { .. } => Some(
                "is the name right? an address works without a resolver: --server ADDRESS:PORT".to_owned(),
            ),
            Self::AnswerTimeout { .. } => Some(
                "is it maglev-brain that listens there? if it is only slow, use a longer --timeout"
                    .to_owned(),
            ),
            Self::Broken { .. } => Some(
                "was maglev-brain just restarted? then try again; else, is this its --grpc address?"
                    .to_owned(),
            ),
            Self::NotServed { .. } => Some(
                "is it maglev-brain, and no older than this maglevc? `maglevc --version` tells".to_owned(),
            ),
            Self::Refused { code: Code::Unavailable | Code::DeadlineExceeded, .. } => {
                Some("`maglevc show vpp info` tells what is connected".to_owned())
            }
            Self::Refused { code: Code::ResourceExhausted, .. } => Some("try again in a moment".to_owned()),
            Self::Refused { .. } | Self::Output(_) | Self::Json(_) | Self::Runtime(_) => None,
        }
    }

    /// Lines for standard error.
    pub(crate) fn report(&self) -> String {
        let advice = self.advice().map(|advice| format!("  {advice}\n")).unwrap_or_default();
        format!("maglevc: {self}\n{advice}")
    }
}

type Cause<'a> = &'a (dyn StdError + 'static);

fn chain(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |error: &Cause<'_>| StdError::source(*error))
}

fn root_cause(error: Cause<'_>) -> String {
    let last = chain(error).last().unwrap_or(error);
    printable(&last.downcast_ref::<io::Error>().map_or_else(|| last.to_string(), plain))
}

/// The operating system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests;
