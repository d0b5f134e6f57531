//! The stats socket, which hands out the segment's descriptor.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::sleep;

use super::StatsError;

/// Maximum number of descriptors in a message (the kernel's `SCM_MAX_FD`).
const MOST: usize = 253;

/// Connects and receives the single descriptor that VPP sends. The caller sets the time limit.
pub(super) async fn receive_descriptor(path: &Path) -> Result<OwnedFd, StatsError> {
    let failed = |source: io::Error| StatsError::Connect { path: path.into(), source };
    let address = UnixAddr::new(path).map_err(|errno| failed(errno.into()))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None);
    let socket = socket.map_err(|errno| failed(errno.into()))?;
    loop {
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => break,
            // The listener's queue is full, and the kernel does not signal when there is room.
            Err(Errno::EAGAIN) => sleep(Duration::from_millis(fastrand::u64(5..20))).await,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    // tokio has no type for this kind of socket. This one is used only to wait until it is readable.
    let socket = UnixStream::from_std(socket.into()).map_err(failed)?;
    let receive = || receive(socket.as_fd());
    let mut descriptors = socket.async_io(Interest::READABLE, receive).await.map_err(failed)?;
    match descriptors.len() {
        1 => descriptors.pop().ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into())),
        count => {
            let reason = format!("a message with {count} descriptors found, expected 1");
            Err(StatsError::Unacceptable { path: path.into(), reason })
        }
    }
}

/// Receives one message. VPP's message has no data, so 0 bytes do not mean the end of the stream. Every
/// descriptor received is owned from the start, even if the kernel truncated the message because this process
/// may not open more.
fn receive(socket: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut data = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut data)];
    let message = recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        // The buffer fits the kernel's maximum, so truncation has another cause.
        return Err(io::Error::other("its message was cut short: this process has too many open files"));
    }
    let rights = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(received) => Some(received),
        _ => None,
    });
    Ok(rights.flatten().collect())
}
