//! From a listening socket to connections whose other end is known.
//!
//! One task accepts, until it is told to end or the server is gone. Each connection is greeted by a task of its own,
//! which finds out who is there; it ends by itself within [`GREETING`], and may be aborted.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
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
use super::super::paced::{Cause, Paced};
use super::super::shares::Party;
use super::super::tls::Tls;
use super::Gate;
use super::connection::Connection;
use super::handshake::{Failed, GREETING, Handshakes, Place, shake_hands};

/// Greetings at once on one socket. Further connections wait in the socket's backlog until one of these ends.
const MOST_GREETINGS: usize = 128;
/// Greeted connections that wait for the server; greetings wait while there are more.
const GREETED: usize = 16;
/// Longest reason that a handshake failed for, in characters.
const MOST_REASON: usize = 256;
/// Pause when accepting fails, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What stands between a socket and the server.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) gate: Arc<Gate>,
    pub(super) refusals: Paced,
}

/// A socket that listens, and by its kind how somebody is recognised.
#[derive(Debug)]
pub(super) enum Door {
    Loopback(TcpListener),
    Unix(UnixListener),
    Tls(TcpListener, Arc<Tls>),
}

enum Arrived {
    Loopback(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// With what was in force when it came.
    Tls(TcpStream, SocketAddr, Arc<ServerConfig>, Place),
}

impl Door {
    async fn accept(&self, handshakes: &mut Handshakes) -> io::Result<Arrived> {
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
                Ok(Arrived::Tls(stream, address, tls.config(), handshakes.begin()))
            }
        }
    }
}

/// Connections until `shutdown` ends: those that were accepted before are among them, those that come later wait in the
/// socket's backlog for a successor, if it outlives this process.
pub(super) fn connections(
    door: Door,
    guard: Guard,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let (sender, greeted) = mpsc::channel(GREETED);
    tokio::spawn(accept(door, guard, sender, shutdown));
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
    let mut handshakes = Handshakes::default();
    tokio::pin!(shutdown);
    loop {
        let arrival = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, door.accept(&mut handshakes).await)
        };
        let (seat, arrived) = tokio::select! {
            () = &mut shutdown => break,
            () = sender.closed() => break,
            arrival = arrival => arrival,
        };
        match arrived {
            Ok(arrived) => {
                let (guard, sender) = (guard.clone(), sender.clone());
                greetings.spawn(async move {
                    let connection = greet(arrived, &guard).await;
                    if let Some(connection) = connection {
                        // An error means that the server is gone.
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
    // The sender goes with the last of them.
    drop(sender);
    greetings.close();
    greetings.wait().await;
}

async fn greet(arrived: Arrived, guard: &Guard) -> Option<Connection> {
    let Guard { gate, refusals } = guard;
    match arrived {
        Arrived::Loopback(stream, address) => admit(stream, gate.access.over_loopback(address), guard),
        Arrived::Unix(stream) => {
            let caller = match timeout(GREETING, over_unix(&stream, &gate.access)).await {
                Ok(Ok(caller)) => caller,
                Ok(Err(error)) => {
                    debug!(%error, "a process hung up before it was known");
                    return None;
                }
                Err(_) => return None,
            };
            admit(stream, caller, guard)
        }
        Arrived::Tls(stream, address, config, place) => {
            match shake_hands(stream, config, place).await {
                Ok(stream) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    let caller = gate.access.over_tls(address, chain.and_then(|chain| chain.first()));
                    return admit(stream, caller, guard);
                }
                // So do those that only look whether somebody listens.
                Err(Failed::HungUp) => debug!(from = %address, "a client hung up during the TLS handshake"),
                Err(reason) => {
                    let reason = printable(&reason.to_string(), MOST_REASON);
                    refusals.refused(Cause::Handshake, Party::at(address.ip()), address, reason);
                }
            }
            None
        }
    }
}

async fn over_unix(stream: &UnixStream, access: &Access) -> io::Result<Caller> {
    let peer = stream.peer_cred()?;
    let (uid, gid, pid) = (peer.uid(), peer.gid(), peer.pid().filter(|pid| *pid > 0));
    Ok(access.over_unix(Peer { uid, gid, pid }).await)
}

/// Gives a connection its place, if there is one.
fn admit(
    stream: impl super::connection::Stream + 'static,
    caller: Caller,
    Guard { gate, refusals }: &Guard,
) -> Option<Connection> {
    let place = match gate.connections.take(&caller) {
        Ok(place) => place,
        Err(full) => {
            refusals.refused(Cause::Connection, caller.who(), caller.from(), &full);
            gate.turned_away.tell(stream, &full.to_string());
            return None;
        }
    };
    debug!(who = %caller.who(), from = %caller.from(), "connected");
    Some(Connection::new(stream, caller, place))
}
