//! Errors, each with the next step and the exit code.

mod tls;

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use maglev_proto::client::{ServerAddress, SetupError, Unresolved};
use tonic::{Code, Status};

use crate::error::tls::TlsProblem;
use crate::style::{printable, printable_json, printable_lines};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect to {server}: {reason}")]
    Connect { server: ServerAddress, reason: String, kind: Option<ErrorKind> },
    #[error("cannot connect to {server}: {reason}")]
    Unresolved { server: ServerAddress, reason: String },
    /// The TLS handshake failed for lack of trust.
    #[error("no TLS with {server}: {problem}")]
    Tls { server: ServerAddress, problem: TlsProblem },
    #[error("{0}")]
    TlsSetup(String),
    #[error("cannot read {}: {}", path.display(), plain(error))]
    File { path: PathBuf, error: io::Error },
    #[error("no connection to {server} within {}", humantime::format_duration(*.timeout))]
    ConnectTimeout { server: ServerAddress, timeout: Duration },
    #[error("no answer from {server} within {}", humantime::format_duration(*.timeout))]
    AnswerTimeout { server: ServerAddress, timeout: Duration },
    /// Also the symptom of a server with another protocol.
    #[error("the connection to {server} broke before the answer came: {reason}")]
    Broken { server: ServerAddress, reason: String },
    /// A watch has ended.
    #[error("{server} closed the event stream: {reason}")]
    Ended { server: ServerAddress, reason: String },
    #[error("the server at {server} does not support this request")]
    NotServed { server: ServerAddress },
    /// The server's own message.
    #[error("{message}")]
    Refused { code: Code, message: String },
    /// There is no terminal to ask on, or the answer was no.
    #[error("{0}")]
    NotConfirmed(String),
    #[error("a watch has no single answer")]
    NoSingleAnswer,
    /// Not possible with several servers.
    #[error("{servers} servers are named, but {what}")]
    OneServer { servers: usize, what: &'static str },
    /// None of several servers answers; the message names each.
    #[error("{0}")]
    NoAnswer(String),
    #[error("cannot write the answer: {}", plain(.0))]
    Output(io::Error),
    #[error("cannot ask: {}", plain(.0))]
    Question(io::Error),
    #[error("cannot put the answer into JSON: {0}")]
    Json(serde_json::Error),
    #[error("cannot start: {}", plain(.0))]
    Runtime(io::Error),
    /// The command line is wrong; the message explains it.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    pub(crate) fn connect(server: &ServerAddress, error: Cause<'_>) -> Self {
        if let Some(problem) = TlsProblem::of(error) {
            return Self::Tls { server: server.clone(), problem };
        }
        let (server, reason) = (server.clone(), root_cause(error));
        if chain(error).any(|error| error.is::<Unresolved>()) {
            return Self::Unresolved { server, reason };
        }
        let kind = chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
        Self::Connect { server, reason, kind }
    }

    pub(crate) fn setup(server: &ServerAddress, error: SetupError) -> Self {
        match error {
            SetupError::Address(error) => Self::connect(server, &error),
            SetupError::File { path, error } => Self::File { path, error },
            SetupError::Files(what) => Self::TlsSetup(what),
            SetupError::Certificate(error) => Self::TlsSetup(format!(
                "the files of --tls-ca, --tls-cert and --tls-key cannot be used: {}",
                root_cause(&error)
            )),
        }
    }

    /// A status received from the server is its own; one with a source was created here, about the
    /// connection.
    pub(crate) fn status(server: &ServerAddress, status: &Status) -> Self {
        match (status.source(), status.code()) {
            (Some(cause), _) => match TlsProblem::of(cause) {
                Some(problem) => Self::Tls { server: server.clone(), problem },
                None => Self::Broken { server: server.clone(), reason: root_cause(cause) },
            },
            (None, Code::Unimplemented) => Self::NotServed { server: server.clone() },
            (None, code) => {
                let words = if status.message().is_empty() { code.description() } else { status.message() };
                Self::Refused { code, message: printable_lines(words) }
            }
        }
    }

    /// A watch that the server ended.
    pub(crate) fn ended(server: &ServerAddress, reason: &str) -> Self {
        Self::Ended { server: server.clone(), reason: printable(reason) }
    }

    /// The same with the server's message, or the failure of the connection.
    pub(crate) fn ended_with(server: &ServerAddress, status: &Status) -> Self {
        match status.source() {
            Some(cause) => Self::ended(server, &root_cause(cause)),
            None if status.message().is_empty() => Self::ended(server, status.code().description()),
            None => Self::ended(server, status.message()),
        }
    }

    /// Whether the server does not answer.
    pub(crate) fn is_silence(&self) -> bool {
        self.exit_code() == 3
    }

    /// Whether the server does not know the requested name.
    pub(crate) fn is_unknown_name(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Connect { .. }
            | Self::Unresolved { .. }
            | Self::ConnectTimeout { .. }
            | Self::AnswerTimeout { .. }
            | Self::Tls { .. }
            | Self::Ended { .. }
            | Self::NoAnswer(_)
            | Self::Broken { .. } => 3,
            Self::TlsSetup(_)
            | Self::File { .. }
            | Self::NotConfirmed(_)
            | Self::OneServer { .. }
            | Self::Usage(_) => 2,
            Self::NotServed { .. }
            | Self::Refused { .. }
            | Self::NoSingleAnswer
            | Self::Output(_)
            | Self::Question(_)
            | Self::Json(_)
            | Self::Runtime(_) => 1,
        }
    }

    /// What to do next, if known.
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
                "is it maglev-brain, and no older than this maglevc? `maglevc show version` tells".to_owned(),
            ),
            Self::Refused { code: Code::Unavailable | Code::DeadlineExceeded, .. } => {
                Some("`maglevc show vpp info` tells what is connected".to_owned())
            }
            Self::Refused { code: Code::ResourceExhausted, .. } => Some("try again in a moment".to_owned()),
            Self::Tls { problem, .. } => Some(problem.advice().to_owned()),
            Self::Ended { .. } => Some("was maglev-brain just restarted? then watch again".to_owned()),
            Self::OneServer { .. } => Some("name the one that is meant with --server".to_owned()),
            Self::Refused { .. }
            | Self::TlsSetup(_)
            | Self::File { .. }
            | Self::NotConfirmed(_)
            | Self::NoAnswer(_)
            | Self::NoSingleAnswer
            | Self::Output(_)
            | Self::Question(_)
            | Self::Json(_)
            | Self::Usage(_)
            | Self::Runtime(_) => None,
        }
    }

    /// Lines for standard error, or a JSON document.
    pub(crate) fn report(&self, json: bool) -> String {
        if json {
            let document = serde_json::json!({
                "error": self.to_string().trim_end(),
                "advice": self.advice(),
                "exit_code": self.exit_code(),
            });
            return format!("{}\n", printable_json(&document.to_string()));
        }
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

/// The operating system's message without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests;
