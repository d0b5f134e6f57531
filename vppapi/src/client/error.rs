//! What can go wrong between a client and VPP.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::FrameError;
use crate::retval::Retval;
use crate::wire::DecodeError;

/// A connection that could not be made, or a request without a usable reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket could not be connected to.
    #[error("cannot connect to VPP's API socket {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: Arc<io::Error>,
    },
    /// Connecting, with handshake and first ping, took too long.
    #[error("VPP at {} did not complete the handshake within {after:?}", path.display())]
    ConnectTimeout {
        /// The socket.
        path: PathBuf,
        /// The limit.
        after: Duration,
    },
    /// The other end did not greet as VPP does.
    #[error("no handshake with VPP at {}: {reason}", path.display())]
    Handshake {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// This VPP does not have the message, or has it with another layout. Nothing was sent.
    #[error("this VPP does not have the message {name_crc}{}", found_instead(found.as_deref()))]
    Unsupported {
        /// The message wanted, with its CRC.
        name_crc: &'static str,
        /// What VPP has by the same name.
        found: Option<String>,
    },
    /// The request is longer than a frame may be. Nothing was sent.
    #[error("cannot send {message}: {source}")]
    NotSent {
        /// The request.
        message: &'static str,
        /// What is wrong with it.
        source: Arc<FrameError>,
    },
    /// VPP carried the request out with an error.
    #[error("VPP refused {message}: {retval}")]
    Refused {
        /// The request.
        message: &'static str,
        /// VPP's return value.
        retval: Retval,
    },
    /// No answer in time. The request may still take effect, if it was sent.
    #[error("{}", no_answer(message, *after, *sent))]
    Timeout {
        /// The request.
        message: &'static str,
        /// The limit.
        after: Duration,
        /// Whether the request was given to the socket, rather than waiting behind others.
        sent: bool,
    },
    /// A dump had more details than wanted; those that came were thrown away.
    #[error("{message} was answered with more than {limit} details")]
    TooManyDetails {
        /// The dump.
        message: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An answer was not what its name and CRC promise.
    #[error("VPP's answer cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The connection ended before the answer came.
    #[error("the connection to VPP at {} ended: {reason}", path.display())]
    Disconnected {
        /// The socket.
        path: PathBuf,
        /// Why.
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
    /// VPP closed it, or is gone.
    #[error("closed by VPP")]
    Closed,
    /// Reading failed, or a frame was not acceptable.
    #[error("{0}")]
    Read(Arc<FrameError>),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Write(Arc<io::Error>),
    /// Its own task is gone: every handle was dropped, or the runtime ended.
    #[error("given up by this process")]
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
