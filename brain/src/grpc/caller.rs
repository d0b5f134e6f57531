//! Who asks, as far as the connection tells.

use std::fmt;
use std::net::SocketAddr;

use tonic::Extensions;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Tcp(SocketAddr),
    /// The kernel's word, as of when the peer connected.
    Unix {
        uid: u32,
        pid: Option<i32>,
    },
    Unknown,
}

impl Caller {
    pub(super) fn of(connection: &Extensions) -> Self {
        if let Some(peer) = connection.get::<UdsConnectInfo>().and_then(|info| info.peer_cred) {
            return Self::Unix { uid: peer.uid(), pid: peer.pid() };
        }
        let peer = connection.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        peer.map_or(Self::Unknown, Self::Tcp)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid, pid: Some(pid) } => write!(f, "uid {uid}, pid {pid}"),
            Self::Unix { uid, pid: None } => write!(f, "uid {uid}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
