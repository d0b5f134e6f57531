//! SIGHUP during the start: it must neither end a process that does not listen for it yet, nor be lost.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

fn hangup() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGHUP);
    signals
}

/// Blocks SIGHUP. Must be called first, on the main thread, so that all threads inherit it.
///
/// # Errors
/// If the system refuses.
pub fn hold() -> Result<(), Errno> {
    hangup().thread_block()
}

/// Delivers a pending SIGHUP. Must be called on the main thread, once something listens for it.
///
/// # Errors
/// If the system refuses.
pub fn release() -> Result<(), Errno> {
    hangup().thread_unblock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;
    use tokio::signal::unix::{SignalKind, signal};

    #[tokio::test]
    async fn signal_that_comes_too_early_waits_until_somebody_listens() {
        hold().unwrap();
        // Sent to this thread only.
        raise(Signal::SIGHUP).unwrap();
        let mut hangups = signal(SignalKind::hangup()).unwrap();
        release().unwrap();
        assert_eq!(hangups.recv().await, Some(()));
    }
}
