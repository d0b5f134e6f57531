//! Notifications to the service manager (sd_notify(3)).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

/// The service manager wants notifications, but cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the service manager at NOTIFY_SOCKET={address}: {error}")]
pub struct NotAService {
    address: String,
    error: io::Error,
}

/// A connection to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Connects to the service manager that started this process, if it wants notifications.
    ///
    /// # Errors
    /// If it cannot be reached. It would otherwise wait in vain, and then kill the process.
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
            // Its queue is full, as while it restarts: the next notification will do.
            Err(error) if error.kind() == ErrorKind::WouldBlock => debug!("the service manager is busy"),
            Err(error) => warn!(%error, "cannot notify the service manager"),
        }
    }

    /// Reports that the process is ready.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// Reports that the process is reloading; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            // Without the time the notification is invalid, so `systemctl reload` would not wait.
            Err(error) => warn!(%error, "cannot notify the service manager of a reload"),
        }
    }

    /// Whether a service manager listens. Otherwise all notifications are dropped.
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// Sets the status that `systemctl status` shows. Must be one line: further lines would be other
    /// notifications.
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    /// Reports an orderly shutdown.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A hanging service manager must not hang the daemon.
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

/// Reports readiness, and from then on a sign of life, twice as often as the watchdog requires. Must run on
/// the thread of the daemon's main work, so that the service manager restarts the daemon if that thread
/// hangs. Returns if there is no watchdog.
pub async fn keep_alive(notifier: &Notifier) {
    notifier.ready();
    let Some(watchdog) = notifier.watchdog.filter(|watchdog| !watchdog.is_zero()) else { return };
    let mut ticks = interval(watchdog / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        notifier.tell(&[NotifyState::Watchdog]);
    }
}

#[cfg(test)]
mod tests;
