//! Turns a listening socket into connections with identified peers.
//!
//! One task accepts, until it is told to stop or the server is gone. Each connection gets a task of its own,
//! which identifies the peer; it ends within [`GREETING`], and may be aborted.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use maglev_daemon::vital::vital;
use maglev_protocol::printable;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::super::access::{Access, Peer};
use super::super::caller::Caller;
use super::super::shares::Party;
use super::super::tls::Tls;
use super::Gate;
use super::connection::{Connection, Stream as Bytes};
use super::handshake::{Failed, GREETING, first_words, shake_hands};
use crate::paced::{Cause, Paced};
use crate::seats::{Seat, Seats};

/// Maximum number of concurrent handshakes on one socket. Further connections wait in the socket's backlog.
const MOST_GREETINGS: usize = 128;
/// Maximum number of clients on one socket that have not completed the HTTP/2 preface. Fewer than the
/// handshakes, so that a client that has completed it always finds a place.
const MOST_SILENT: usize = 96;
/// Identified connections waiting for the server; when full, handshakes wait.
const GREETED: usize = 16;
/// Maximum length of a handshake's failure, in characters.
const MOST_REASON: usize = 256;
/// Pause after accepting failed, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Admission to the server, between socket and connections.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) gate: Arc<Gate>,
    pub(super) refusals: Paced,
}

/// A listening socket; its kind determines how peers are identified.
#[derive(Debug)]
pub(super) enum Door {
    Loopback(TcpListener),
    Unix(UnixListener),
    Tls(TcpListener, Arc<Tls>),
}

enum Arrived {
    Loopback(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// With the TLS configuration at the time of accepting.
    Tls(TcpStream, SocketAddr, Arc<ServerConfig>),
}

impl Door {
    async fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Loopback(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Arrived::Loopback(stream, address))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Arrived::Unix(stream)),
            Self::Tls(listener, tls) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // A socket for both families shows IPv4 as IPv6.
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok(Arrived::Tls(stream, address, tls.config()))
            }
        }
    }
}

/// Connections until `shutdown` ends, including those accepted before; later ones wait in the socket's
/// backlog for a successor, if the socket outlives this process.
pub(super) fn connections(
    door: Door,
    guard: Guard,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let (sender, greeted) = mpsc::channel(GREETED);
    tokio::spawn(vital("accepting gRPC connections", accept(door, guard, sender, shutdown)));
    ReceiverStream::new(greeted)
}

async fn accept(
    door: Door,
    guard: Guard,
    sender: mpsc::Sender<Result<Connection, Infallible>>,
    shutdown: impl Future<Output = ()>,
) {
    let seats = Arc::new(Semaphore::new(MOST_GREETINGS));
    let greetings = TaskTracker::new();
    let silent = Seats::new(MOST_SILENT);
    tokio::pin!(shutdown);
    loop {
        let arrival = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, door.accept().await)
        };
        let (seat, arrived) = tokio::select! {
            () = &mut shutdown => break,
            () = sender.closed() => break,
            arrival = arrival => arrival,
        };
        match arrived {
            Ok(arrived) => {
                let (guard, sender, silent) = (guard.clone(), sender.clone(), silent.take());
                greetings.spawn(async move {
                    let connection = greet(arrived, &guard, silent).await;
                    if let Some(connection) = connection {
                        // Fails only if the server is gone.
                        drop(sender.send(Ok(connection)).await);
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                guard.refusals.refused(Cause::Accept, "this machine", "nowhere", error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The sender is dropped with the last of them.
    drop(sender);
    greetings.close();
    greetings.wait().await;
}

/// An identified client.
struct Greeted {
    stream: Box<dyn Bytes>,
    first: Vec<u8>,
    caller: Caller,
}

async fn greet(arrived: Arrived, guard: &Guard, silent: Seat) -> Option<Connection> {
    let (cause, party, from) = match &arrived {
        Arrived::Loopback(_, address) => (Cause::Silent, Party::Loopback, address.to_string()),
        Arrived::Unix(_) => (Cause::Silent, Party::Nobody, "the unix socket".to_owned()),
        Arrived::Tls(_, address, _) => (Cause::Handshake, Party::at(address.ip()), address.to_string()),
    };
    let failed = tokio::select! {
        // Completed handshakes come first, however many new ones there are.
        biased;
        greeted = timeout(GREETING, recognise(arrived, &guard.gate.access)) => match greeted {
            Ok(Ok(greeted)) => return admit(greeted, guard),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::Late,
        },
        () = silent.displaced() => Failed::Displaced,
    };
    match failed {
        // As do clients that only check whether the port is open.
        Failed::HungUp => debug!(%from, "a client disconnected during its handshake"),
        failed => guard.refusals.refused(cause, party, from, printable(&failed.to_string(), MOST_REASON)),
    }
    None
}

async fn recognise(arrived: Arrived, access: &Access) -> Result<Greeted, Failed> {
    let (mut stream, caller): (Box<dyn Bytes>, _) = match arrived {
        Arrived::Loopback(stream, address) => (Box::new(stream), access.over_loopback(address)),
        Arrived::Unix(stream) => {
            let caller = over_unix(&stream, access).await?;
            (Box::new(stream), caller)
        }
        Arrived::Tls(stream, address, config) => {
            let stream = shake_hands(stream, config).await?;
            let chain = stream.get_ref().1.peer_certificates();
            let caller = access.over_tls(address, chain.and_then(|chain| chain.first()));
            (Box::new(stream), caller)
        }
    };
    let first = first_words(&mut stream).await?;
    Ok(Greeted { stream, first, caller })
}

async fn over_unix(stream: &UnixStream, access: &Access) -> io::Result<Caller> {
    let peer = stream.peer_cred()?;
    let (uid, gid, pid) = (peer.uid(), peer.gid(), peer.pid().filter(|pid| *pid > 0));
    Ok(access.over_unix(Peer { uid, gid, pid }).await)
}

/// Admits a connection, if there is a place for it.
fn admit(Greeted { stream, first, caller }: Greeted, Guard { gate, refusals }: &Guard) -> Option<Connection> {
    let place = match gate.connections.take(&caller) {
        Ok(place) => place,
        Err(full) => {
            refusals.refused(Cause::Connection, caller.who(), caller.from(), &full);
            gate.turned_away.tell(stream, &full.to_string());
            return None;
        }
    };
    debug!(who = %caller.who(), from = %caller.from(), "connected");
    Some(Connection::new(stream, first, caller, place))
}
