//! Messages to the service manager (sd_notify(3)).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

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

    /// Whether anybody listens. If not, all else has no effect.
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// What `systemctl status` shows. It must be one line: a message of several says other things than meant.
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    /// It ends in order.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A service manager that hangs must not hang the daemon.
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
/// belongs on the thread that does the daemon's main work: if that hangs, the daemon counts as dead and is restarted.
/// It returns when there is no watchdog.
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
