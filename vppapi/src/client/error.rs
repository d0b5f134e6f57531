//! Errors of the client.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::FrameError;
use crate::retval::Retval;
use crate::wire::DecodeError;

/// Failure of a connection or a request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket refused the connection.
    #[error("cannot connect to VPP's API socket {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The kernel's error.
        source: Arc<io::Error>,
    },
    /// Connecting, including handshake and first ping, took too long.
    #[error("VPP at {} did not complete the handshake within {after:?}", path.display())]
    ConnectTimeout {
        /// The socket.
        path: PathBuf,
        /// The time limit.
        after: Duration,
    },
    /// The peer did not answer the handshake like VPP.
    #[error("no handshake with VPP at {}: {reason}", path.display())]
    Handshake {
        /// The socket.
        path: PathBuf,
        /// What was unexpected.
        reason: String,
    },
    /// This VPP lacks the message, or has it with another layout. Nothing was sent.
    #[error("this VPP does not have the message {name_crc}{}", found_instead(found.as_deref()))]
    Unsupported {
        /// The wanted message, with its CRC.
        name_crc: &'static str,
        /// VPP's message of that name, with its CRC.
        found: Option<String>,
    },
    /// The request is longer than a frame may be. Nothing was sent.
    #[error("cannot send {message}: {source}")]
    NotSent {
        /// The request.
        message: &'static str,
        /// The cause.
        source: Arc<FrameError>,
    },
    /// VPP answered with an error.
    #[error("VPP refused {message}: {retval}")]
    Refused {
        /// The request.
        message: &'static str,
        /// VPP's return value.
        retval: Retval,
    },
    /// No answer in time. If it was sent, the request may still take effect.
    #[error("{}", no_answer(message, *after, *sent))]
    Timeout {
        /// The request.
        message: &'static str,
        /// The time limit.
        after: Duration,
        /// Whether the request was written to the socket, rather than waiting behind others.
        sent: bool,
    },
    /// A dump returned more details than allowed; they were discarded.
    #[error("{message} was answered with more than {limit} details")]
    TooManyDetails {
        /// The dump.
        message: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An answer could not be decoded by the layout of its name and CRC.
    #[error("VPP's answer cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The connection ended before the answer came.
    #[error("the connection to VPP at {} ended: {reason}", path.display())]
    Disconnected {
        /// The socket.
        path: PathBuf,
        /// The cause.
        reason: DisconnectReason,
    },
}

impl ClientError {
    /// VPP's return value, if this is a refusal.
    #[must_use]
    pub fn retval(&self) -> Option<Retval> {
        match self {
            Self::Refused { retval, .. } => Some(*retval),
            _ => None,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DisconnectReason {
    /// VPP closed it, or died.
    #[error("closed by VPP")]
    Closed,
    /// Reading failed, or a frame was invalid.
    #[error("{0}")]
    Read(Arc<FrameError>),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Write(Arc<io::Error>),
    /// The connection's task ended: every handle was dropped, or the runtime ended.
    #[error("closed by this process")]
    Abandoned,
}

fn no_answer(message: &str, after: Duration, sent: bool) -> String {
    if sent {
        format!("VPP did not answer {message} within {after:?}")
    } else {
        format!("{message} was not sent, because VPP answered nothing for {after:?}")
    }
}

fn found_instead(found: Option<&str>) -> String {
    found.map_or_else(String::new, |found| {
        format!("; it has {}, which has another layout", found.escape_debug())
    })
}
