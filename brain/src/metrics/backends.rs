//! Metrics of backends and health checks.

use std::time::Duration;

use maglev_engine::config::{Backend, CheckKind};
use maglev_engine::health::State;
use maglev_engine::outcome::ProbeCode;
use maglev_engine::snapshot::{BackendView, Snapshot};
use maglev_protocol::{Counters, ServerTraffic};

use super::catalogue as metrics;
use super::exposition::{Exposition, flag, number};

/// States of existing backends.
const STATES: [State; 5] = [State::Unknown, State::Up, State::Down, State::Paused, State::Disabled];

pub(super) fn write(snapshot: &Snapshot, counters: Option<&Counters>, out: &mut Exposition) {
    let rows: Vec<Row<'_>> = rows(snapshot).collect();
    out.family(metrics::BACKEND_INFO, |family| {
        for row in &rows {
            let (address, check) =
                (row.configured.address.to_string(), row.configured.healthcheck.as_deref());
            let check = check.unwrap_or_default();
            family.add(&[("backend", row.name), ("address", &address), ("healthcheck", check)], 1.0);
        }
    });
    out.family(metrics::BACKEND_STATE, |family| {
        for row in &rows {
            let is = row.view.health.state().word();
            family.add_state(&[("backend", row.name)], "state", &STATES.map(State::word), is);
        }
    });
    out.family(metrics::BACKEND_HEALTH, |family| {
        for row in &rows {
            family.add(&[("backend", row.name)], row.view.health.counter().into());
        }
    });
    out.family(metrics::BACKEND_ENABLED, |family| {
        for row in &rows {
            family.add(&[("backend", row.name)], flag(row.configured.enabled));
        }
    });
    out.family(metrics::BACKEND_TRANSITIONS, |family| {
        for row in &rows {
            for to in STATES {
                let count = row.view.tally.transitions(to);
                // Other transitions are rare, and never happen to most backends: they would be a tenth of all
                // series.
                if count > 0 || matches!(to, State::Up | State::Down) {
                    family.add(&[("backend", row.name), ("to", to.word())], count.into());
                }
            }
        }
    });
    let sent = counters.map_or(&[][..], |counters| &counters.sent);
    let traffic = |row: &Row<'_>| {
        let found = sent.binary_search_by_key(&row.configured.address, |server| server.address);
        found.ok().and_then(|index| sent.get(index))
    };
    for (metric, count) in [
        (metrics::BACKEND_PACKETS, (|sent| sent.packets) as fn(&ServerTraffic) -> u64),
        (metrics::BACKEND_BYTES, |sent| sent.bytes),
    ] {
        out.family(metric, |family| {
            for row in &rows {
                if let Some(sent) = traffic(row) {
                    family.add(&[("backend", row.name)], number(count(sent)));
                }
            }
        });
    }
    out.family(metrics::BACKEND_PROBES, |family| {
        for row in &rows {
            let usual = row.check.map_or(&[][..], codes);
            for code in ProbeCode::ALL {
                let count = row.view.tally.probes(code);
                // An earlier check may have been of another type.
                if count > 0 || usual.contains(&code) {
                    family.add(&[("backend", row.name), ("code", code.name())], count.into());
                }
            }
        }
    });
    out.family(metrics::BACKEND_PROBE_DURATION, |family| {
        for row in &rows {
            if let Some(last) = row.view.tally.last_probe() {
                family.add(&[("backend", row.name)], last.outcome.duration.as_secs_f64());
            }
        }
    });
    let late = rows.iter().filter_map(|row| row.view.tally.last_probe()).map(|last| last.late).max();
    out.single(metrics::PROBE_LATENESS, late.unwrap_or(Duration::ZERO).as_secs_f64());
    write_checks(snapshot, out)
}

fn write_checks(snapshot: &Snapshot, out: &mut Exposition) {
    out.family(metrics::PROBE_DURATION, |family| {
        for (name, tally) in &*snapshot.checks {
            family.add_histogram(&[("healthcheck", name)], &tally.durations.read());
        }
    });
    let checks = &snapshot.config.healthchecks;
    out.family(metrics::CHECK_RISE, |family| {
        for (name, check) in checks {
            family.add(&[("healthcheck", name)], check.rise.into());
        }
    });
    out.family(metrics::CHECK_FALL, |family| {
        for (name, check) in checks {
            family.add(&[("healthcheck", name)], check.fall.into());
        }
    })
}

struct Row<'a> {
    name: &'a str,
    view: &'a BackendView,
    configured: &'a Backend,
    check: Option<&'a CheckKind>,
}

fn rows(snapshot: &Snapshot) -> impl Iterator<Item = Row<'_>> {
    let config = &snapshot.config;
    snapshot.backends.iter().filter_map(|(name, view)| {
        let configured = config.backends.get(&**name)?;
        let check = configured.healthcheck.as_ref().and_then(|check| config.healthchecks.get(check));
        Some(Row { name, view, configured, check: check.map(|check| &check.kind) })
    })
}

/// Possible results of a check. Exporting them before the first probe lets Prometheus see that probe as an
/// increase.
fn codes(kind: &CheckKind) -> &'static [ProbeCode] {
    use ProbeCode::{L4Con, L4Ok, L4Tout, L6Ok, L6Rsp, L6Tout, L7Ok, L7Rsp, L7Sts, L7Tout, SockErr};
    match kind {
        CheckKind::Icmp => &[L4Ok, L4Tout, L4Con, SockErr],
        CheckKind::Tcp { exchange, tls, .. } => match (&exchange.expect, tls) {
            (None, None) => &[L4Ok, L4Tout, L4Con, SockErr],
            (None, Some(_)) => &[L6Ok, L4Tout, L4Con, L6Tout, L6Rsp, SockErr],
            (Some(_), None) => &[L7Ok, L4Tout, L4Con, L7Tout, L7Rsp, SockErr],
            (Some(_), Some(_)) => &[L7Ok, L4Tout, L4Con, L6Tout, L6Rsp, L7Tout, L7Rsp, SockErr],
        },
        CheckKind::Udp { exchange, .. } => match exchange.expect {
            None => &[L4Ok, L4Con, SockErr],
            Some(_) => &[L7Ok, L4Tout, L4Con, L7Rsp, SockErr],
        },
        CheckKind::Http { tls: None, .. } | CheckKind::Dns { .. } | CheckKind::Grpc { tls: None, .. } => {
            &[L7Ok, L4Tout, L4Con, L7Tout, L7Rsp, L7Sts, SockErr]
        }
        CheckKind::Http { tls: Some(_), .. } | CheckKind::Grpc { tls: Some(_), .. } => {
            &[L7Ok, L4Tout, L4Con, L6Tout, L6Rsp, L7Tout, L7Rsp, L7Sts, SockErr]
        }
    }
}
