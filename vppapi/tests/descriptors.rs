//! A process with hardly any descriptors left. The limit is per process, so this is a separate program.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, sendmsg,
    socket,
};
use vppapi::stats::StatsSegment;

fn is_open(descriptor: u64) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok()
}

#[tokio::test]
async fn descriptors_of_a_message_that_is_cut_short_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stats.sock");
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener: OwnedFd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&listener, Backlog::new(4).unwrap()).unwrap();
    let listener = UnixListener::from(listener);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let before: Vec<_> = (0..1000).filter(|number| is_open(*number)).collect();
    for room in 0..4 {
        let path = path.clone();
        let connecting =
            tokio::spawn(async move { StatsSegment::connect(&path, Duration::from_secs(5)).await });
        // The connection is queued once the task has run.
        tokio::task::yield_now().await;
        let (client, _) = listener.accept().unwrap();
        let rights = [ControlMessage::ScmRights(&[listener.as_raw_fd(); 8])];
        sendmsg::<()>(client.as_raw_fd(), &[IoSlice::new(&[])], &rights, MsgFlags::empty(), None).unwrap();
        let limit = (0..).filter(|number| !is_open(*number)).nth(room).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
        let error = connecting.await.unwrap().unwrap_err().to_string();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert!(error.contains("cut short: this process has too many open files"), "{room}: {error}");
        drop(client);
        let after: Vec<_> = (0..1000).filter(|number| is_open(*number)).collect();
        assert_eq!(after, before, "{room}");
    }
}
