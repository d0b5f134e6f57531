//! The RPC server on the agent's socket.
//!
//! [`serve`] accepts the peers that [`Gate`] admits; each connection has its own task, which runs all
//! requests of that connection and ends with it. Any of them may be aborted at any time, since the task of
//! [`Vpp`] carries out what they request of VPP.

mod calls;
mod notices;
mod peer;
mod room;
mod seats;
mod transport;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_daemon::socket::{SocketError, SocketFile, listen};
use maglev_daemon::until;
use maglev_protocol::printable;
use tarpc::ChannelError;
use tarpc::server::{BaseChannel, Channel, Config};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::debug;

use crate::icmp::{MOST_IN_FLIGHT, Pinger};
use crate::pace::Pace;
use crate::policy::SharedPolicy;
use crate::routes::KernelRoutes;
use crate::tunnel::Tunnel;
use crate::vpp::Vpp;
use crate::writer::WriterSeat;
use calls::Connection;
use notices::{Kind, Notices};
pub use peer::Peer;
use room::{Call, Held, Room, Share};
pub use room::{MOST_READERS_CALLS, MOST_UNREAD, MOST_UNREAD_TOGETHER, MOST_VPP_CALLS};
pub use seats::{MOST_CONNECTIONS, MOST_OF_A_PROCESS};
use seats::{Seats, Session};
use transport::Transport;
pub use transport::{FRAME_TIME, HELLO_TIME};

/// Mode of the socket: open to the agent's user and group.
const MODE: u32 = 0o660;
/// Maximum number of connections waiting to be accepted; the kernel refuses further ones.
const BACKLOG: u32 = 16;
/// Maximum number of requests in flight on a connection, mostly echo requests of both families. tarpc refuses
/// further ones.
pub const MOST_REQUESTS: usize = 2 * MOST_IN_FLIGHT + MOST_VPP_CALLS;
/// Maximum number of answers waiting to be written. When full, senders wait.
const ANSWERS: usize = 256;
/// Maximum length of the reason why a connection was closed, in characters.
const MOST_REASON: usize = 256;
/// Pause after accepting failed, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The agent's listening socket. Dropping it removes the file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    _file: SocketFile,
}

impl Listener {
    /// Listens at a path, for this user and this group. Replaces a socket that nobody listens on.
    ///
    /// # Errors
    /// When another process listens there, something else is there, or the kernel refuses.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let (socket, file) = listen(path, MODE, BACKLOG).await?;
        Ok(Self { socket, _file: file })
    }
}

/// Access rules of the socket, and what is needed to serve calls.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The user that the brain runs as. All others are refused.
    pub brain_user: u32,
    /// Limits on what the brain may ask for.
    pub policy: SharedPolicy,
    /// Sends echo requests; otherwise, why none can be sent.
    pub pinger: Result<Pinger, String>,
    /// Changes the kernel's routes; otherwise, why none can be changed.
    pub routes: Result<KernelRoutes, String>,
    /// Sends probes through the tunnel; otherwise, why none can be sent.
    pub tunnel: Result<Tunnel, String>,
    /// The agent's process, as reported to the brain.
    pub process: Process,
}

/// A process of the agent.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start time, in Unix seconds.
    pub started: u64,
}

impl Process {
    /// The current process. To be called before confinement, since the system call filter refuses to tell the
    /// id.
    pub fn starts() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), started: now.as_secs() }
    }
}

/// State that all connections share.
#[derive(Debug)]
struct Shared {
    vpp: Vpp,
    gate: Gate,
    instance: u64,
    notices: Notices,
    seats: Seats,
    writer: Mutex<WriterSeat>,
    writers_share: Share,
    readers_share: Share,
    /// Memory for the desired state that the writer sends.
    wanted: Room,
    echoes: Mutex<Pace>,
    /// The last instance refused because of its protocol, so that it is logged only once.
    refused: Mutex<Option<u64>>,
}

impl Shared {
    /// A panic leaves the seat in a consistent state, so poisoning is ignored.
    fn writer(&self) -> MutexGuard<'_, WriterSeat> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_writers(&self, session: &Session) -> bool {
        self.writer().has(session.peer, session.brain())
    }
}

/// Accepts connections and serves RPCs, forever.
pub async fn serve(listener: Listener, gate: Gate, vpp: Vpp) {
    let shared = Arc::new(Shared {
        vpp,
        gate,
        instance: fastrand::u64(..),
        notices: Notices::default(),
        seats: Seats::default(),
        writer: Mutex::default(),
        writers_share: Share::new(MOST_VPP_CALLS),
        readers_share: Share::new(MOST_READERS_CALLS),
        wanted: Room::of_the_writer(),
        echoes: Mutex::new(Pace::new(Instant::now())),
        refused: Mutex::default(),
    });
    let mut accepted = 0;
    let mut ticks = interval(notices::PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stream = tokio::select! {
            stream = listener.socket.accept() => stream,
            _ = ticks.tick() => {
                shared.notices.write_due();
                shared.writer().look(Instant::now().into_std());
                continue;
            }
        };
        match stream {
            Ok((stream, _)) => {
                accepted += 1;
                admit(stream, accepted, &shared);
            }
            Err(error) => {
                shared.notices.note(Kind::Accept, "this machine", error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts a task for a connection, if there is a place for it.
fn admit(stream: UnixStream, number: u64, shared: &Arc<Shared>) {
    let Shared { gate, notices, seats, .. } = &**shared;
    let peer = match Peer::of(&stream, gate.brain_user) {
        Ok(peer) => peer,
        Err(refusal) => return notices.note(Kind::Refused, refusal.who(), refusal),
    };
    let session = Arc::new(Session::new(number, peer, Instant::now()));
    match seats.take(&session, |other| shared.is_writers(other)) {
        Ok(None) => {}
        Ok(Some(gone)) => notices.note(Kind::GaveWay, gone.peer, format!("to {peer}")),
        Err(reason) => return notices.note(Kind::Crowded, peer, reason),
    }
    let (room, held) = (Room::of_a_connection(), Arc::new(Held::default()));
    let agent = Connection { shared: Arc::clone(shared), session: Arc::clone(&session), room, held };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = connection(stream, agent) => ended,
            () = session.must_go() => Ok(()),
        };
        let Shared { notices, seats, .. } = &*shared;
        if let Err(reason) = ended {
            notices.note(Kind::Closed, peer, printable(&reason.to_string(), MOST_REASON));
        }
        if shared.writer().leave(number) {
            notices.note(Kind::WriterGone, peer, format!("connection {number}"));
        }
        seats.leave(number);
        if let Ok(tunnel) = &shared.gate.tunnel {
            tunnel.leave(number);
        }
    });
}

/// Serves a connection until its peer hangs up or breaks a rule.
async fn connection(stream: UnixStream, agent: Connection) -> io::Result<()> {
    let mut pace = Pace::new(Instant::now());
    let per_second = || agent.shared.gate.policy.current().limits.requests_per_second;
    let transport = Transport::new(stream, Arc::clone(&agent.session));
    let channel = BaseChannel::new(Config { pending_response_buffer: ANSWERS }, transport);
    let requests = channel.max_concurrent_requests(MOST_REQUESTS).requests();
    tokio::pin!(requests);
    let mut answers = FuturesUnordered::new();
    // A peer that exceeds its rate is not read from until this time: it waits, and loses nothing.
    let mut not_before = None;
    loop {
        tokio::select! {
            () = until(not_before), if not_before.is_some() => not_before = pace.take(per_second(), Instant::now()).err(),
            request = requests.next(), if not_before.is_none() => match request {
                Some(Ok(request)) => {
                    agent.session.use_now();
                    agent.shared.writer().renew(agent.session.number, Instant::now().into_std());
                    let call = Call(Connection { held: Arc::default(), ..agent.clone() });
                    // Exempt from tokio's cooperative budget: once that is spent, each of thousands of ready
                    // requests would be polled in vain over and over.
                    answers.push(unconstrained(request.execute(call)));
                    not_before = pace.take(per_second(), Instant::now()).err();
                }
                Some(Err(error)) => return ended(&error),
                None => return Ok(()),
            },
            Some(()) = answers.next() => {}
        }
    }
}

/// A peer that hangs up is not an error.
fn ended(error: &ChannelError<io::Error>) -> io::Result<()> {
    let (ChannelError::Read(error)
    | ChannelError::Ready(error)
    | ChannelError::Write(error)
    | ChannelError::Flush(error)
    | ChannelError::Close(error)) = error;
    match error.kind() {
        kind
        @ (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            debug!(%kind, "connection ended");
            Ok(())
        }
        kind => Err(io::Error::new(kind, error.to_string())),
    }
}
