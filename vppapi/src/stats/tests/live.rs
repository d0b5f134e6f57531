//! Segments in real shared memory, handed out over a real socket.

use std::ffi::CStr;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, sendmsg,
    socket,
};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn shared_memory(words: &[u64], seals: SealFlag) -> File {
    let name: &CStr = c"stats segment of a test";
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_ALLOW_SEALING).unwrap());
    file.write_all(&build::bytes(words)).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file
}

struct StatsSocket {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// Accepts like a stream socket, although the accepted sockets are seqpacket.
    listener: UnixListener,
}

impl StatsSocket {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stats.sock");
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&listener, Backlog::new(4).unwrap()).unwrap();
        Self { _folder: folder, path, listener: listener.into() }
    }

    /// Accepts a connection, sends descriptors in a message without data as VPP does, and closes.
    fn serve(&self, files: &[&File]) {
        let (client, _) = self.listener.accept().unwrap();
        let descriptors: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let control = if files.is_empty() { &[][..] } else { &rights };
        sendmsg::<()>(client.as_raw_fd(), &[IoSlice::new(&[])], control, MsgFlags::empty(), None).unwrap();
    }

    /// The result of connecting to a server that sends these descriptors.
    async fn connect(&self, files: &[&File]) -> Result<StatsSegment, StatsError> {
        let path = self.path.clone();
        let connected = tokio::spawn(async move { StatsSegment::connect(&path, LIMIT).await });
        // The connection is queued once the task has run.
        tokio::task::yield_now().await;
        self.serve(files);
        connected.await.unwrap()
    }
}

#[tokio::test]
async fn a_segment_is_received_mapped_and_read() {
    let memory = shared_memory(&small_segment().words(), SealFlag::F_SEAL_SHRINK);
    let segment = StatsSocket::new().connect(&[&memory]).await.unwrap();
    let simple = segment.read(|view| view.simple_counters("simple")).await.unwrap();
    assert_eq!(simple, [[1, 2, 3], [10, 20, 30]]);
    assert!(segment.path().ends_with("stats.sock"));
    let error = segment.read(|view| view.scalar("none")).await.unwrap_err();
    assert!(matches!(error, StatsError::NoSuchEntry { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_segment_is_refused() {
    let socket = StatsSocket::new();
    let words = small_segment().words();
    let unsealed = shared_memory(&words, SealFlag::F_SEAL_GROW);
    let error = socket.connect(&[&unsealed]).await.unwrap_err().to_string();
    assert!(
        error.contains("memory that may shrink found, expected one sealed with F_SEAL_SHRINK"),
        "{error}"
    );
    let error = socket.connect(&[]).await.unwrap_err().to_string();
    assert!(error.contains("a message with 0 descriptors found, expected 1"), "{error}");
    let sealed = shared_memory(&words, SealFlag::F_SEAL_SHRINK);
    let error = socket.connect(&[&sealed, &sealed]).await.unwrap_err().to_string();
    assert!(error.contains("a message with 2 descriptors found, expected 1"), "{error}");
    let plain = tempfile::tempfile().unwrap();
    assert!(matches!(socket.connect(&[&plain]).await, Err(StatsError::Unacceptable { .. })));
    for length in [0, 3] {
        let short = shared_memory(&words[..length], SealFlag::F_SEAL_SHRINK);
        assert!(socket.connect(&[&short]).await.is_err());
    }
    let huge = shared_memory(&words, SealFlag::F_SEAL_SHRINK);
    huge.set_len(5 << 30).unwrap();
    let error = socket.connect(&[&huge]).await.unwrap_err().to_string();
    assert!(error.contains("5368709120 bytes found, at most 4294967296 are mapped"), "{error}");
}

/// The kernel sends at most 253 descriptors in a message.
#[tokio::test]
async fn descriptors_beyond_the_one_expected_are_closed() {
    let socket = StatsSocket::new();
    for count in [2, 8, 9, 20, 253] {
        let (mut read, write) = std::io::pipe().unwrap();
        let write = File::from(std::os::fd::OwnedFd::from(write));
        let error = socket.connect(&vec![&write; count]).await.unwrap_err().to_string();
        assert!(error.contains(&format!("a message with {count} descriptors found, expected 1")), "{error}");
        drop(write);
        nix::fcntl::fcntl(&read, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        assert_eq!(read.read(&mut [0]).unwrap(), 0, "one of {count} is still open");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let error = StatsSegment::connect("/nonexistent/stats.sock", LIMIT).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot get VPP's stats segment from /nonexistent/stats.sock: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_is_given_up_in_time() {
    let socket = StatsSocket::new();
    let start = Instant::now();
    let error = StatsSegment::connect(&socket.path, LIMIT).await.unwrap_err();
    assert!(matches!(error, StatsError::ConnectTimeout { after: LIMIT, .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_change_that_never_ends_is_given_up() {
    let memory = shared_memory(&small_segment().words(), SealFlag::F_SEAL_SHRINK);
    let segment = StatsSocket::new().connect(&[&memory]).await.unwrap();
    memory.write_at(&1_u64.to_ne_bytes(), 24).unwrap();
    tokio::time::pause();
    let error = segment.read(|view| view.scalar("/sys/boottime")).await.unwrap_err();
    assert!(matches!(error, StatsError::Busy { .. }), "{error}");
    memory.write_at(&0_u64.to_ne_bytes(), 24).unwrap();
    assert_eq!(segment.read(|view| view.boot_time()).await.unwrap(), 1_795_228_654);
}

#[tokio::test]
async fn a_new_directory_is_seen_by_its_epoch() {
    let mut segment = small_segment();
    let other = segment.simple(&[&[77]]);
    let words = segment.words();
    let memory = shared_memory(&words, SealFlag::F_SEAL_SHRINK);
    let segment = StatsSocket::new().connect(&[&memory]).await.unwrap();
    assert_eq!(segment.read(|view| view.simple_sums("simple", &[0])).await.unwrap(), [Some(11)]);

    // The fourth entry is replaced, by VPP's protocol for changes.
    let place = (words[4] - BASE) + 3 * 144;
    let mut entry = [2, other].map(u64::to_ne_bytes).concat();
    entry.extend_from_slice(b"renamed\0");
    memory.write_at(&entry, place).unwrap();
    memory.write_at(&584_u64.to_ne_bytes(), 16).unwrap();
    assert_eq!(segment.read(|view| view.simple_counters("renamed")).await.unwrap(), [[77]]);
    let gone = segment.read(|view| view.simple_counters("simple")).await;
    assert!(matches!(gone, Err(StatsError::NoSuchEntry { .. })));
}

/// Two entries whose vectors VPP swaps together, between two sets of values.
struct Swapped {
    memory: File,
    sets: [(u64, u64); 2],
    /// Position of the directory in the segment, in bytes.
    directory: u64,
}

impl Swapped {
    async fn new() -> (Self, StatsSegment) {
        let mut segment = Builder::new();
        let sets = [1_u64, 2].map(|value| {
            let first = segment.simple(&[&[value; 64], &[value; 64]]);
            (first, segment.simple(&[&[value; 64], &[value; 64]]))
        });
        segment.entry("first", 2, sets[0].0);
        segment.entry("second", 2, sets[0].1);
        let words = segment.words();
        let memory = shared_memory(&words, SealFlag::F_SEAL_SHRINK);
        let segment = StatsSocket::new().connect(&[&memory]).await.unwrap();
        (Self { memory, sets, directory: words[4] - BASE }, segment)
    }

    fn put(&self, word: u64, offset: u64) {
        self.memory.write_all_at(&word.to_ne_bytes(), offset).unwrap();
    }

    /// Swaps, in the order that the header's protocol requires.
    fn swap(&self, epoch: u64) {
        self.put(1, 24);
        let (first, second) = self.sets[usize::from(epoch.is_multiple_of(2))];
        self.put(first, self.directory + 8);
        self.put(second, self.directory + 144 + 8);
        self.put(epoch, 16);
        self.put(0, 24);
    }
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_read_is_noticed() {
    let (swapped, segment) = Swapped::new().await;
    let mut epochs = 584..;
    let mut reads = 0;
    let (first, second) = segment
        .read(|view| {
            reads += 1;
            let first = view.simple_counters("first")?;
            if reads <= 10 {
                swapped.swap(epochs.next().unwrap());
            }
            Ok((first, view.simple_counters("second")?))
        })
        .await
        .unwrap();
    assert_eq!((reads, &first), (11, &second));
}

#[tokio::test]
async fn an_error_that_a_change_caused_is_not_believed() {
    let (swapped, segment) = Swapped::new().await;
    let mut reads = 0;
    let read = segment.read(|_| {
        reads += 1;
        if reads > 1 {
            return Ok(reads);
        }
        swapped.swap(584);
        Err(StatsError::NoSuchEntry { name: "torn".to_owned() })
    });
    assert_eq!(read.await.unwrap(), 2);
}

#[tokio::test]
async fn a_segment_that_another_thread_changes_all_the_time_is_read_consistently() {
    let (swapped, segment) = Swapped::new().await;
    let writer = std::thread::spawn(move || {
        for epoch in 584..1584 {
            swapped.swap(epoch);
            std::thread::yield_now();
        }
    });
    let (mut last_round, mut epoch) = (false, 0);
    while !last_round {
        last_round = writer.is_finished();
        let read = segment
            .read(|view| Ok((view.epoch(), view.simple_counters("first")?, view.simple_counters("second")?)));
        match read.await {
            Ok((read_epoch, first, second)) => {
                assert_eq!(first, second);
                // An even epoch shows the second set of values; the first, 583, shows the first set.
                assert_eq!(first[0][0], if read_epoch % 2 == 0 { 2 } else { 1 });
                epoch = read_epoch;
            }
            Err(StatsError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    writer.join().unwrap();
    assert_eq!(epoch, 1583);
}
