//! Messages to the service manager (sd_notify(3)).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use maglev_protocol::{VppState, printable};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::vpp::Vpp;

/// Longest status, in characters.
const MOST_STATUS: usize = 256;

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

    /// It ends in order.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A service manager that hangs must not hang the agent.
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

/// Says that the process is ready, and from then on, twice as often as the service manager demands, that it lives; and
/// whether VPP is there, whenever that changes. It belongs on the thread that does all the rest, and runs for ever.
pub async fn attend(notifier: &Notifier, vpp: &Vpp) {
    notifier.tell(&[NotifyState::Ready]);
    tokio::join!(ping(notifier), tell_status(notifier, vpp));
}

async fn ping(notifier: &Notifier) {
    let Some(watchdog) = notifier.watchdog.filter(|watchdog| !watchdog.is_zero()) else { return };
    let mut ticks = interval(watchdog / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        notifier.tell(&[NotifyState::Watchdog]);
    }
}

async fn tell_status(notifier: &Notifier, vpp: &Vpp) {
    let mut info = vpp.info();
    loop {
        notifier.tell(&[NotifyState::Status(&status(&info.state))]);
        info = vpp.change_from(info.generation).await;
    }
}

/// One line: a message of several would say other things than meant.
fn status(vpp: &VppState) -> String {
    let text = match vpp {
        VppState::Connected { version, .. } => format!("VPP {version} connected"),
        VppState::Disconnected { reason, .. } => format!("VPP away: {reason}"),
        VppState::Incompatible { .. } => "VPP connected, and lacks what is needed".to_owned(),
    };
    printable(&text, MOST_STATUS)
}

#[cfg(test)]
mod tests;
