//! Relays one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Transport;
use crate::host::{AdmittedFlow, Host};

/// How long a server may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes on their way, for each direction of a connection: who does not read makes the other wait.
const BUFFER: usize = 16 << 10;

/// Headers of IP and TCP, by which a chunk counts as a packet.
const HEADERS_IPV4: u64 = 40;
const HEADERS_IPV6: u64 = 60;

/// Why a relayed connection ended.
enum End {
    /// Both sides have finished.
    Finished,
    /// The model sends the flow's packets elsewhere, where nobody knows the connection.
    Moved,
    /// A socket failed.
    Failed(io::Error),
}

/// Makes the peer see a reset once the connection is dropped.
pub(super) fn reset(connection: &TcpStream) {
    if let Err(error) = SockRef::from(connection).set_linger(Some(Duration::ZERO)) {
        debug!(%error, "cannot reset a connection; it is closed instead");
    }
}

/// Relays a client's connection to the server that the model gives, until it ends. To the model it comes from `flow_port`.
pub(super) async fn serve(
    host: &Arc<Host>,
    vip: u32,
    mut connection: TcpStream,
    client: SocketAddr,
    flow_port: u16,
) {
    let destination = match connection.local_addr() {
        Ok(destination) => destination,
        Err(error) => return debug!(vip, %client, %error, "a connection was gone before it was relayed"),
    };
    let headers = if client.is_ipv4() { HEADERS_IPV4 } else { HEADERS_IPV6 };
    let flow = match host.open_flow(vip, SocketAddr::new(client.ip(), flow_port), destination, headers) {
        Ok(flow) => flow,
        Err(error) => {
            debug!(vip, %client, %error, "reset a connection");
            return reset(&connection);
        }
    };
    let target = SocketAddr::new(super::real_address(flow.server), destination.port());
    match connect(host, &flow, target).await {
        Some(mut server) => {
            let end = tokio::select! {
                biased;
                () = flow.ended.cancelled() => End::Moved,
                end = relay(host, &flow, headers, &mut connection, &mut server) => end,
            };
            finish(&end, &connection, &server);
        }
        None => reset(&connection),
    }
    host.close_flow(flow.id);
}

/// The server's side of a connection, if there is to be one.
async fn connect(host: &Host, flow: &AdmittedFlow, target: SocketAddr) -> Option<TcpStream> {
    if host.listens_at(Transport::Tcp, target) {
        warn!(%target, "the application server is itself a VIP here: its connections would come back for ever");
        return None;
    }
    let connected = tokio::select! {
        biased;
        () = flow.ended.cancelled() => return None,
        connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(target)) => connected,
    };
    match connected {
        Ok(Ok(server)) => Some(server),
        Ok(Err(error)) => {
            debug!(%target, %error, "the application server does not accept");
            None
        }
        Err(_) => {
            debug!(%target, seconds = CONNECT_TIMEOUT.as_secs(), "the application server did not accept in time");
            None
        }
    }
}

async fn relay(
    host: &Arc<Host>,
    flow: &AdmittedFlow,
    headers: u64,
    client: &mut TcpStream,
    server: &mut TcpStream,
) -> End {
    for side in [&*client, &*server] {
        if let Err(error) = side.set_nodelay(true) {
            debug!(%error, "small chunks may be held back");
        }
    }
    let ((client_reads, client_writes), (server_reads, server_writes)) = (client.split(), server.split());
    let counted = |bytes| host.flow_packet(flow.id, bytes + headers).then_some(()).ok_or(End::Moved);
    // Answers go back past VPP, which does not see them.
    let to_server = pump(client_reads, server_writes, counted);
    let to_client = pump(server_reads, client_writes, |_| Ok(()));
    match tokio::try_join!(to_server, to_client) {
        Ok(_) => End::Finished,
        Err(end) => end,
    }
}

/// Copies until the reader ends, which the writer is then told.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut each: impl FnMut(u64) -> Result<(), End>,
) -> Result<(), End> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(End::Failed)?;
        if count == 0 {
            return to.shutdown().await.map_err(End::Failed);
        }
        each(u64::try_from(count).unwrap_or(u64::MAX))?;
        to.write_all(buffer.get(..count).unwrap_or_default()).await.map_err(End::Failed)?;
    }
}

fn finish(end: &End, client: &TcpStream, server: &TcpStream) {
    match end {
        End::Finished => return,
        End::Moved => debug!("reset a connection whose packets go to another server now"),
        End::Failed(error) => debug!(%error, "reset a connection"),
    }
    reset(client);
    reset(server);
}
