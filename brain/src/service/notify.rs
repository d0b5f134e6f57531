//! Messages to the service manager (sd_notify(3)).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::health::State;
use maglev_engine::snapshot::Snapshot;
use maglev_engine::weights::FrontendState;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

/// How often `systemctl status` is told how things stand, if they changed.
const STATUS_PERIOD: Duration = Duration::from_secs(5);

/// Why the service manager cannot be told anything, though it wants to be.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the service manager anything, which waits at NOTIFY_SOCKET={address}: {error}")]
pub struct NotAService {
    address: String,
    error: io::Error,
}

/// A way to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// To the one that started this process, if it wants to know.
    ///
    /// # Errors
    /// If it cannot be reached. It would wait, and then end the process.
    pub fn from_environment() -> Result<Self, NotAService> {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
            return Ok(Self { socket: None, watchdog: None });
        };
        Self::new(&address, sd_notify::watchdog_enabled())
    }

    fn new(address: &OsStr, watchdog: Option<Duration>) -> Result<Self, NotAService> {
        let socket = connect(address)
            .map_err(|error| NotAService { address: address.to_string_lossy().into_owned(), error })?;
        Ok(Self { socket: Some(socket), watchdog })
    }

    fn tell(&self, news: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: String = news.iter().map(|line| format!("{line}\n")).collect();
        match socket.send(lines.as_bytes()) {
            Ok(_) => {}
            // Its queue is full, as it is while the service manager starts anew: the next message will do.
            Err(error) if error.kind() == ErrorKind::WouldBlock => debug!("the service manager is busy"),
            Err(error) => warn!(%error, "cannot tell the service manager how things stand"),
        }
    }

    /// The process serves.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It reads its configuration anew; [`Notifier::ready`] says that it has.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            // Without the time it is no valid message; only `systemctl reload` then does not wait.
            Err(error) => warn!(%error, "cannot tell the service manager of a reload"),
        }
    }

    /// It ends in order.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A service manager that hangs must not hang the controller.
    socket.set_nonblocking(true)?;
    match address.as_bytes() {
        [b'/', ..] => socket.connect(address)?,
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => {
            let words = "only paths, and names in the abstract namespace (@NAME), are known here";
            return Err(io::Error::new(ErrorKind::Unsupported, words));
        }
    }
    Ok(socket)
}

/// Says that the process is ready, and from then on, twice as often as the service manager demands, that it lives. It
/// belongs on the controller's own thread: a controller that hangs then counts as dead, and is started anew.
pub async fn keep_alive(notifier: Arc<Notifier>) {
    notifier.ready();
    let Some(watchdog) = notifier.watchdog.filter(|watchdog| !watchdog.is_zero()) else { return };
    let mut ticks = interval(watchdog / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        notifier.tell(&[NotifyState::Watchdog]);
    }
}

/// Keeps the line that `systemctl status` shows. It looks at everything, and so belongs to the services.
pub async fn tell_status(notifier: Arc<Notifier>, snapshots: watch::Receiver<Arc<Snapshot>>) {
    if notifier.socket.is_none() {
        return;
    }
    let mut ticks = interval(STATUS_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        ticks.tick().await;
        let status = status(&Arc::clone(&snapshots.borrow()));
        if status != told {
            notifier.tell(&[NotifyState::Status(&status)]);
            told = status;
        }
    }
}

fn status(snapshot: &Snapshot) -> String {
    let frontends = snapshot.frontends.values().filter(|view| view.weights.state == FrontendState::Up);
    let backends = snapshot.backends.values().filter(|view| view.health.state() == State::Up);
    format!(
        "{} of {} frontends up, {} of {} backends up",
        frontends.count(),
        snapshot.frontends.len(),
        backends.count(),
        snapshot.backends.len(),
    )
}

#[cfg(test)]
mod tests;
