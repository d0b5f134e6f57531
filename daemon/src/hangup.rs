//! SIGHUP, which asks for a reload: one that comes before the process listens to it must neither end it nor be lost.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

fn hangup() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGHUP);
    signals
}

/// Holds SIGHUP back. To be called first of all, on the main thread: threads started later do the same.
///
/// # Errors
/// If the system refuses.
pub fn hold() -> Result<(), Errno> {
    hangup().thread_block()
}

/// Delivers what was held back. To be called on the main thread, once somebody listens.
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
        // To this thread alone.
        raise(Signal::SIGHUP).unwrap();
        let mut hangups = signal(SignalKind::hangup()).unwrap();
        release().unwrap();
        assert_eq!(hangups.recv().await, Some(()));
    }
}
