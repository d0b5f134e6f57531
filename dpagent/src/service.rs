//! The agent as a service of systemd: what it tells of itself. The socket for that is opened before the agent is confined.
//! Without systemd, nothing of this has an effect.

use maglev_daemon::notify::{Notifier, keep_alive};
use maglev_protocol::{VppState, printable};

use crate::vpp::Vpp;

/// Longest status, in characters.
const MOST_STATUS: usize = 256;

/// Says that the process is ready and lives; and whether VPP is there, whenever that changes. It belongs on the thread
/// that does all the rest, and runs for ever.
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

/// One line: a message of several would say other things than meant.
fn status(vpp: &VppState) -> String {
    let text = match vpp {
        VppState::Connected { version, .. } => format!("VPP {version} connected"),
        VppState::Disconnected { reason, .. } => format!("VPP disconnected: {reason}"),
        VppState::Incompatible { .. } => "VPP connected, and lacks what is needed".to_owned(),
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
