//! Notifications to systemd. The socket for them is opened before the agent is confined. Without systemd,
//! they have no effect.

use maglev_daemon::notify::{Notifier, keep_alive};
use maglev_protocol::{VppState, printable};

use crate::vpp::Vpp;

/// Maximum length of the status, in characters.
const MOST_STATUS: usize = 256;

/// Reports readiness, the watchdog's sign of life, and VPP's connection whenever it changes. Must run on the
/// main thread, so that the watchdog notices if that hangs; runs forever.
pub async fn attend(notifier: &Notifier, vpp: &Vpp) {
    tokio::join!(keep_alive(notifier), tell_status(notifier, vpp));
}

async fn tell_status(notifier: &Notifier, vpp: &Vpp) {
    let mut info = vpp.info();
    loop {
        notifier.status(&status(&info.state));
        info = vpp.change_from(info.generation).await;
    }
}

/// A single line: further lines would be other notifications.
fn status(vpp: &VppState) -> String {
    let text = match vpp {
        VppState::Connected { version, .. } => format!("VPP {version} connected"),
        VppState::Disconnected { reason, .. } => format!("VPP disconnected: {reason}"),
        VppState::Incompatible { .. } => "VPP connected, but lacks required messages".to_owned(),
    };
    printable(&text, MOST_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_one_line() {
        let away = VppState::Disconnected { reason: "no socket\nREADY=1".into(), silent_ms: 0 };
        assert_eq!(status(&away), "VPP disconnected: no socket\\nREADY=1");
        let connected = VppState::Connected {
            version: "26.10\nWATCHDOG=trigger".into(),
            build_date: String::new(),
            build_directory: String::new(),
            pid: 1,
            boot_time: None,
            connected_for: 0,
        };
        assert_eq!(status(&connected), "VPP 26.10\\nWATCHDOG=trigger connected");
    }
}
