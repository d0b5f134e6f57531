//! What can be configured, but is not available in this version. Delete a function when its feature is there.

use std::collections::BTreeMap;

use super::backend::BackendDraft;
use super::healthcheck::CheckDraft;
use super::model::CheckKind;
use super::report::Report;
use super::settings::LbDraft;
use super::show;

/// Refuses backends whose check this version cannot do.
pub(super) fn refuse_unavailable(
    backends: &BTreeMap<String, BackendDraft>,
    checks: &BTreeMap<String, CheckDraft>,
    report: &mut Report<'_>,
) {
    let help = "this version probes with `tcp` without TLS, `http`, or not at all: a backend without `healthcheck` is up";
    for (name, draft) in checks {
        let what = match draft.check.as_ref().map(|check| &check.kind) {
            Some(CheckKind::Icmp) => "type `icmp`",
            Some(CheckKind::Http { tls: Some(_), .. }) => "type `https`",
            Some(CheckKind::Tcp { tls: Some(_), .. }) => "type `tcp` with `ssl: true`",
            _ => continue,
        };
        let mut used = false;
        for (backend_name, backend) in backends {
            let Some(wanted) = backend.healthcheck.as_ref().filter(|wanted| wanted.value == *name) else {
                continue;
            };
            used = true;
            report.invalid(
                wanted.place,
                format!(
                    "backend {} uses health check {}, of {what}, which is not available yet",
                    show(backend_name),
                    show(name)
                ),
                help,
            );
        }
        if !used {
            report.warning(
                draft.type_place,
                format!("health check {} has {what}, which is not available yet", show(name)),
                help,
            );
        }
    }
}

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
