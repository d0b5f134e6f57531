//! The socket that hands the segment out: whoever connects gets one message without data, with the memory's
//! descriptor.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;
use tracing::{debug, warn};

use super::memory::Memory;

/// Clients that may wait to be accepted; further ones wait in connect.
const BACKLOG: i32 = 64;

/// After an error of accept that may last, as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening socket. It accepts as a stream socket does, though what it accepts are sockets of packets.
#[derive(Debug)]
pub struct StatsListener(UnixListener);

impl StatsListener {
    /// Listens at a path where nothing is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
        Ok(Self(UnixListener::from_std(listener)?))
    }

    /// Serves clients for ever. Holds nothing that needs to be given back, so it may be dropped at any time.
    pub async fn serve(self, memory: Memory) {
        loop {
            match self.0.accept().await.and_then(|(client, _)| hand_out(&client, &memory)) {
                Ok(()) => debug!("handed the stats segment out"),
                Err(error) => {
                    warn!(%error, "cannot hand the stats segment out");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The client's buffer is empty, so this does not wait.
fn hand_out(client: &impl AsRawFd, memory: &Memory) -> io::Result<()> {
    let file = memory.file();
    let descriptors = [file.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(client.as_raw_fd(), &[IoSlice::new(&[])], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}
