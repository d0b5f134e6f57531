//! The stats socket, which hands out the segment's descriptor.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg, socket,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::sleep;

use super::StatsError;
use super::mapping::own;

/// Connects and takes the one descriptor that VPP sends. The caller sets the limit of time.
pub(super) async fn receive_descriptor(path: &Path) -> Result<OwnedFd, StatsError> {
    let failed = |source: io::Error| StatsError::Connect { path: path.into(), source };
    let address = UnixAddr::new(path).map_err(|errno| failed(errno.into()))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None);
    let socket = socket.map_err(|errno| failed(errno.into()))?;
    loop {
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => break,
            // The queue of the listener is full; there is nothing to wait on.
            Err(Errno::EAGAIN) => sleep(Duration::from_millis(fastrand::u64(5..20))).await,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    // Tokio has no type for this kind of socket. This one serves to wait until it is readable, and nothing else.
    let socket = UnixStream::from_std(socket.into()).map_err(failed)?;
    let receive = || receive(socket.as_raw_fd());
    let mut descriptors = socket.async_io(Interest::READABLE, receive).await.map_err(failed)?;
    match descriptors.len() {
        1 => descriptors.pop().ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into())),
        count => {
            let reason = format!("a message with {count} descriptors found, expected 1");
            Err(StatsError::Unacceptable { path: path.into(), reason })
        }
    }
}

/// Receives one message. VPP's has no data, so 0 bytes are not the end of the stream here.
fn receive(socket: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut data = [0; 64];
    let mut parts = [IoSliceMut::new(&mut data)];
    let mut control = nix::cmsg_space!([RawFd; 8]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut parts, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = part {
            descriptors.extend(own(received));
        }
    }
    Ok(descriptors)
}
