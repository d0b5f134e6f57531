//! Accepts the connections of one VIP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::relay;
use crate::host::Host;

/// Connections that the system keeps ready; it turns further ones away.
const BACKLOG: i32 = 1024;

/// After an error of accept that may last, as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What the accepting task of a VIP needs.
pub(super) struct Accepting {
    pub(super) host: Arc<Host>,
    pub(super) vip: u32,
    pub(super) listener: Arc<TcpListener>,
    pub(super) removed: CancellationToken,
    pub(super) permits: Arc<Semaphore>,
    pub(super) connections: Arc<AtomicU16>,
}

/// Listens at once, so that the VIP takes connections when its client has the answer.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    // Or else the remains of former connections would keep the address.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Accepting {
    /// Runs until the VIP is removed.
    pub(super) async fn run(self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.removed.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (connection, client) = match accepted {
                Ok(accepted) => accepted,
                Err(_) if self.removed.is_cancelled() => return,
                Err(error) => {
                    warn!(vip = self.vip, %error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                debug!(vip = self.vip, %client, "reset a connection: as many as allowed are relayed already");
                relay::reset(&connection);
                continue;
            };
            let (host, vip) = (Arc::clone(&self.host), self.vip);
            // Over loopback, Linux reuses a port after a second, and the connection would be pinned as its forerunner was.
            let flow_port = self.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                relay::serve(&host, vip, connection, client, flow_port).await;
                drop(permit);
            });
        }
    }
}
