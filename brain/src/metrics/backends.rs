//! Metrics of backends and health checks.

use std::time::Duration;

use maglev_engine::config::{Backend, CheckKind, Config, HealthCheck};
use maglev_engine::health::{Counter, State};
use maglev_engine::outcome::ProbeCode;
use maglev_engine::snapshot::{BackendView, Snapshot};
use maglev_engine::tally::ProbeTally;
use maglev_protocol::{Counters, ServerTraffic};

use super::catalogue as metrics;
use super::exposition::{Exposition, flag, number};

/// States of existing backends.
const STATES: [State; 5] = [State::Unknown, State::Up, State::Down, State::Paused, State::Disabled];

pub(super) fn write(snapshot: &Snapshot, counters: Option<&Counters>, out: &mut Exposition) {
    let rows: Vec<Row<'_>> = rows(snapshot).collect();
    out.family(metrics::BACKEND_INFO, |family| {
        for row in &rows {
            let address = row.configured.address.to_string();
            let names = row.configured.healthchecks.iter().map(String::as_str);
            let none = row.configured.healthchecks.is_empty().then_some("");
            for check in names.chain(none) {
                family.add(&[("backend", row.name), ("address", &address), ("healthcheck", check)], 1.0);
            }
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
            match row.view.checks.len() {
                0 | 1 => family.add(&[("backend", row.name)], row.view.health.level().into()),
                _ => row.checks().for_each(|check| family.add(check.labels(), check.counter.value().into())),
            }
        }
    });
    out.family(metrics::BACKEND_DAMPED, |family| {
        for row in rows.iter().filter(|_| snapshot.config.healthchecker.damping.is_some()) {
            // The end of a damping makes a new snapshot.
            let is_held = row.view.damper.held_until(snapshot.made).is_some();
            family.add(&[("backend", row.name)], flag(is_held && row.view.health.state() == State::Down));
        }
    });
    out.family(metrics::BACKEND_SHARE, |family| {
        for row in rows.iter().filter(|row| row.checks().any(|check| asks(check.configured))) {
            let share = row.view.asked.share().percent();
            family.add(&[("backend", row.name)], f64::from(share) / 100.0);
        }
    });
    out.family(metrics::BACKEND_ENABLED, |family| {
        for row in &rows {
            family.add(&[("backend", row.name)], flag(row.configured.enabled));
        }
    });
    out.family(metrics::BACKEND_TRANSITIONS, |family| {
        for row in &rows {
            let counts = STATES.map(|to| (to, row.view.transitions.to(to)));
            // Other transitions are rare, and never happen to most backends: they would be a tenth of all series.
            let shown =
                counts.iter().filter(|(to, count)| *count > 0 || matches!(to, State::Up | State::Down));
            let shown = shown.map(|(to, count)| (to.word(), (*count).into()));
            family.add_each(&[("backend", row.name)], "to", shown);
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
        for check in rows.iter().flat_map(Row::checks) {
            let usual = codes(&check.configured.kind);
            let says_down = check.configured.agent.is_some();
            let counts = ProbeCode::ALL.iter().map(|code| (code, check.tally.probes(*code)));
            // An earlier check may have been of another type.
            let shown = counts.filter(|(code, count)| {
                *count > 0 || usual.contains(code) || says_down && **code == ProbeCode::L7Sts
            });
            family.add_each(check.labels(), "code", shown.map(|(code, count)| (code.name(), count.into())));
        }
    });
    out.family(metrics::BACKEND_PROBE_DURATION, |family| {
        for check in rows.iter().flat_map(Row::checks) {
            if let Some(last) = check.tally.last_probe() {
                family.add(check.labels(), last.outcome.duration.as_secs_f64());
            }
        }
    });
    let checks = rows.iter().flat_map(Row::checks);
    let late = checks.filter_map(|check| check.tally.last_probe()).map(|last| last.late).max();
    out.single(metrics::GUARD_TRIPS, number(snapshot.tally.guard_trips.get()));
    out.single(metrics::GUARD_WAITING, number(snapshot.guard.waiting as u64));
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
    config: &'a Config,
}

fn rows(snapshot: &Snapshot) -> impl Iterator<Item = Row<'_>> {
    let config = &snapshot.config;
    snapshot.backends.iter().filter_map(|(name, view)| {
        let configured = config.backends.get(&**name)?;
        Some(Row { name, view, configured, config })
    })
}

/// One check of a backend.
struct CheckRow<'a> {
    /// The second one is empty unless the backend has several checks.
    labels: [(&'static str, &'a str); 2],
    tally: &'a ProbeTally,
    counter: &'a Counter,
    configured: &'a HealthCheck,
}

impl<'a> Row<'a> {
    fn checks(&self) -> impl Iterator<Item = CheckRow<'a>> + use<'a> {
        let (backend, view) = (self.name, self.view);
        let checks = view.checks.iter().zip(view.health.checks().counters());
        checks.zip(self.config.checks_of(self.configured)).map(move |((check, counter), (_, configured))| {
            let name = check.name.as_deref().unwrap_or_default();
            let labels = [("backend", backend), ("healthcheck", name)];
            CheckRow { labels, tally: &check.tally, counter, configured }
        })
    }
}

impl CheckRow<'_> {
    /// A backend with one check is not labelled by it, which would lengthen nearly all series.
    fn labels(&self) -> &[(&'static str, &str)] {
        let count = if self.labels[1].1.is_empty() { 1 } else { 2 };
        self.labels.get(..count).unwrap_or_default()
    }
}

/// Whether a check's answers have the server's own word.
fn asks(check: &HealthCheck) -> bool {
    check.agent.is_some()
        || matches!(&check.kind, CheckKind::Http { http, .. } if http.agent_header.is_some() || !http.drain_codes.0.is_empty())
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
