//! Which types of checks this version can probe with.

use std::collections::BTreeMap;

use super::backend::BackendDraft;
use super::healthcheck::CheckDraft;
use super::model::CheckKind;
use super::report::Report;
use super::show;

/// Refuses backends whose check this version cannot do; delete it, with this module, when it can do all.
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
