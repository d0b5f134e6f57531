//! What can be configured, but is not available in this version. Delete a function when its feature is there.

use super::report::Report;
use super::settings::LbDraft;

/// Tells that the warm-up knows no times yet.
pub(super) fn warn_of_warm_up(lb: &LbDraft, report: &mut Report<'_>) {
    for &(key, place) in &lb.warm_up {
        let effect =
            if key == "startup-min-delay" { "only spreads the first probes" } else { "has no effect" };
        report.warning(
            place,
            format!("`{key}` of `lb` of `vpp` {effect} in this version"),
            "a frontend is held back until each of its backends has been probed, however long that takes",
        );
    }
}
