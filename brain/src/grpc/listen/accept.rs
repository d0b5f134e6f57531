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
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::super::access::{Access, Peer};
use super::super::caller::{Caller, Rights};
use super::super::tls::Tls;
use super::Gate;
use super::connection::Connection;
use super::handshake::{Failed, Handshakes, Place, shake_hands};

/// Connections at once of those who may not change things, on all sockets. Further ones are closed at once, before
/// they are answered.
const MOST_OTHERS: usize = 3584;
/// The same of admins, whom the others can so not keep out.
const MOST_ADMINS: usize = 512;
/// Greetings at once on one socket. Further connections wait in the socket's backlog until one of these ends.
const MOST_GREETINGS: usize = 128;
/// Time for finding out who has connected: a look at the user database, or a TLS handshake.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Greeted connections that wait for the server; greetings wait while there are more.
const GREETED: usize = 16;
/// Pause when accepting fails, as it does without file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Room for connections on all sockets.
#[derive(Debug)]
pub(super) struct Places {
    admins: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { admins: Arc::new(Semaphore::new(MOST_ADMINS)), others: Arc::new(Semaphore::new(MOST_OTHERS)) }
    }
}

impl Places {
    fn take(&self, rights: &Rights) -> Option<OwnedSemaphorePermit> {
        let places = match rights {
            Rights::Admin => &self.admins,
            Rights::ReadOnly(_) | Rights::Nothing(_) => &self.others,
        };
        Arc::clone(places).try_acquire_owned().ok()
    }
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
    gate: Arc<Gate>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let (sender, greeted) = mpsc::channel(GREETED);
    tokio::spawn(accept(door, gate, sender, shutdown));
    ReceiverStream::new(greeted)
}

async fn accept(
    door: Door,
    gate: Arc<Gate>,
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
                let (gate, sender) = (Arc::clone(&gate), sender.clone());
                greetings.spawn(async move {
                    let connection = greet(arrived, &gate).await;
                    if let Some(connection) = connection {
                        // An error means that the server is gone.
                        drop(sender.send(Ok(connection)).await);
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                gate.failures.warn(|more| warn!(%error, more, "a gRPC connection cannot be accepted"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The sender goes with the last of them.
    drop(sender);
    greetings.close();
    greetings.wait().await;
}

async fn greet(arrived: Arrived, gate: &Gate) -> Option<Connection> {
    match arrived {
        Arrived::Loopback(stream, address) => admit(stream, gate.access.over_loopback(address), gate),
        Arrived::Unix(stream) => {
            let caller = match timeout(GREETING, over_unix(&stream, &gate.access)).await {
                Ok(Ok(caller)) => caller,
                Ok(Err(error)) => {
                    debug!(%error, "a process hung up before it was known");
                    return None;
                }
                Err(_) => return None,
            };
            admit(stream, caller, gate)
        }
        Arrived::Tls(stream, address, config, place) => {
            match shake_hands(stream, config, place).await {
                Ok(stream) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    let caller = gate.access.over_tls(address, chain.and_then(|chain| chain.first()));
                    return admit(stream, caller, gate);
                }
                // So do those that only look whether somebody listens.
                Err(Failed::HungUp) => debug!(from = %address, "a client hung up during the TLS handshake"),
                Err(reason) => {
                    gate.strangers.warn(|more| info!(from = %address, more, "no TLS handshake: {reason}"));
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
    gate: &Gate,
) -> Option<Connection> {
    let Some(place) = gate.places.take(caller.rights()) else {
        let who = caller.who();
        gate.failures.warn(|more| warn!(%who, from = %caller.from(), more, "too many gRPC connections"));
        return None;
    };
    debug!(who = %caller.who(), from = %caller.from(), "connected");
    Some(Connection::new(stream, caller, place))
}
