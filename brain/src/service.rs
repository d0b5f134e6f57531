//! systemd integration: inherited sockets, and notifications. Without systemd, nothing of this has an effect.

mod sockets;
mod unserved;

use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::notify::Notifier;
use maglev_engine::health::State;
use maglev_engine::snapshot::Snapshot;
use maglev_engine::weights::FrontendState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

pub use sockets::{Inherited, InheritedError, InheritedSocket, inherited};
pub use unserved::{Reasons, Unserved};

/// Interval for updating the status in `systemctl status`, if it changed.
const STATUS_PERIOD: Duration = Duration::from_secs(5);

/// Updates the status line in `systemctl status`. Looks at the whole state, so it runs on the service
/// threads.
pub async fn tell_status(
    notifier: Arc<Notifier>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    mut unserved: watch::Receiver<Reasons>,
) {
    if !notifier.is_heard() {
        return;
    }
    let mut ticks = interval(STATUS_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = unserved.changed() => {}
        }
        let status = status(&Arc::clone(&snapshots.borrow()), &unserved.borrow_and_update());
        if status != told {
            notifier.status(&status);
            told = status;
        }
    }
}

fn status(snapshot: &Snapshot, unserved: &Reasons) -> String {
    let frontends = snapshot.frontends.values().filter(|view| view.weights.state == FrontendState::Up);
    let backends = snapshot.backends.values().filter(|view| view.health.state() == State::Up);
    let mut status = format!(
        "{} of {} frontends up, {} of {} backends up",
        frontends.count(),
        snapshot.frontends.len(),
        backends.count(),
        snapshot.backends.len(),
    );
    for address in unserved.keys() {
        status.push_str(&format!("; NOT LISTENING on {}", address.escape_debug()));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use maglev_engine::config::parse;
    use maglev_engine::core::{Core, Now};
    use maglev_engine::overrides::Overrides;

    #[test]
    fn status_is_one_line() {
        let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    b1: { address: 10.0.0.1 }
    b2: { address: 10.0.0.2, enabled: false }
  frontends:
    shop: { address: 203.0.113.10, pools: [ { name: only, backends: { b1: {}, b2: {} } } ] }
";
        let config = Arc::new(parse("test.yaml", text).unwrap().config);
        let mono = tokio::time::Instant::now().into_std();
        let now = Now { wall: std::time::UNIX_EPOCH, mono };
        let core = Core::new(config, Overrides::default(), "/nonexistent".into(), now);
        let snapshot = core.snapshot(mono);
        assert_eq!(status(&snapshot, &Reasons::new()), "1 of 1 frontends up, 1 of 2 backends up");
        let unserved = Reasons::from([("unix:/run/a\nb.sock".to_owned(), "in use".to_owned())]);
        let told = "1 of 1 frontends up, 1 of 2 backends up; NOT LISTENING on unix:/run/a\\nb.sock";
        assert_eq!(status(&snapshot, &unserved), told);
    }
}
