//! A datagram, and the reply to it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use maglev_engine::outcome::{ProbeCode, ProbeOutcome};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::stats::Exchange;

/// Most bytes of a reply that are looked at.
const REPLY: usize = 2048;

/// How datagrams are sent.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) payload: Vec<u8>,
    pub(crate) timeout: Duration,
}

impl Asking {
    /// Sends one from a socket of its own, so that it is a flow of its own.
    pub(crate) async fn ask(&self, vip: SocketAddr, source: Option<SocketAddr>) -> Exchange {
        let started = Instant::now();
        match open(vip, source).await {
            Ok(socket) => self.exchange(&socket, started).await,
            Err(error) => {
                let detail = format!("cannot open a UDP socket: {}", maglev_proto::client::innermost(&error));
                let outcome = ProbeOutcome {
                    code: ProbeCode::SockErr,
                    detail: detail.into(),
                    duration: started.elapsed(),
                    asked: None,
                };
                Exchange { outcome, server: None, balancer: None }
            }
        }
    }

    /// Sends one over this socket. Late replies to earlier ones are left out.
    pub(crate) async fn exchange(&self, socket: &UdpSocket, started: Instant) -> Exchange {
        let mut reply = [0; REPLY];
        while socket.try_recv(&mut reply).is_ok() {}
        let exchanged = async {
            socket.send(&self.payload).await?;
            socket.recv(&mut reply).await
        };
        let (code, detail, server) = match timeout_at(started + self.timeout, exchanged).await {
            Ok(Ok(length)) => {
                let reply = reply.get(..length).unwrap_or_default();
                (ProbeCode::L4Ok, format!("reply of {length} bytes"), first_line(reply))
            }
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                (ProbeCode::L4Con, "connection refused".to_owned(), None)
            }
            Ok(Err(error)) => (ProbeCode::L4Con, maglev_proto::client::innermost(&error), None),
            Err(_) => (ProbeCode::L4Tout, "no reply in time".to_owned(), None),
        };
        let outcome = ProbeOutcome { code, detail: detail.into(), duration: started.elapsed(), asked: None };
        Exchange { outcome, server, balancer: None }
    }
}

/// A socket that takes replies of this VIP alone.
pub(crate) async fn open(vip: SocketAddr, source: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let any = if vip.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(source.unwrap_or(any)).await?;
    socket.connect(vip).await?;
    Ok(socket)
}

/// The first line, if it has anything to read in it.
pub(crate) fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').next()?.trim_ascii();
    (!line.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
}
