//! Logging to systemd's journal, which stores each field of a line separately.

use std::io::stderr;

use nix::sys::stat::fstat;
use tracing_journald::{Layer, Priority, PriorityMappings};

/// Prefix of field names, as in `MAGLEV_VIP`: names without one are reserved for the journal.
const PREFIX: &str = "MAGLEV";

/// A layer that writes to the journal under this identifier, if standard error is connected to it. `None`
/// means that lines must go to standard error.
pub(crate) fn journal(identifier: &str) -> Option<Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let status = fstat(stderr()).ok()?;
    if !is_stream(&stream, status.st_dev, status.st_ino) {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    // One level lower than the default, so that `journalctl -p warning` and `-p info` select the expected
    // levels.
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
        ..PriorityMappings::new()
    };
    Some(
        layer
            .with_syslog_identifier(identifier.to_owned())
            .with_field_prefix(Some(PREFIX.to_owned()))
            .with_priority_mappings(priorities),
    )
}

/// Whether systemd's `DEVICE:INODE` names this file. systemd sets it for all processes of a unit, some of
/// which may have another standard error.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(left, right)| {
        left.parse::<u64>().is_ok_and(|left| left == device)
            && right.parse::<u64>().is_ok_and(|right| right == inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_a_device_and_an_inode() {
        assert!(is_stream("9:4711", 9, 4711));
        for other in ["9:4712", "8:4711", "", "9", "9:", ":4711", "9:4711:1", "x:y"] {
            assert!(!is_stream(other, 9, 4711), "{other:?}");
        }
    }
}
