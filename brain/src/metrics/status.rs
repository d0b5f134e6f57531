//! Metrics of the process, and of the brain as a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use maglev_engine::overrides::{BackendOverride, Override};
use maglev_engine::snapshot::Snapshot;
use maglev_engine::warmup::Phase;

use super::Scene;
use super::catalogue::{self as metrics, Metric};
use super::exposition::{Exposition, flag, number};
use crate::webhooks::Reading;

const WEIGHT: &str = "weight";
const DRAINED: &str = "drained";
const NO_NAME: &String = &String::new();

pub(super) fn write(scene: &Scene<'_>, out: &mut Exposition) {
    let Scene { snapshot, process, started, unserved, .. } = scene;
    out.family(metrics::BUILD_INFO, |family| family.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0));
    out.single(metrics::PROCESS_START, unix_seconds(*started));
    out.single(metrics::PROCESS_CPU, process.cpu_seconds);
    out.single(metrics::PROCESS_RESIDENT, process.resident_bytes.map(number));
    out.single(metrics::PROCESS_VIRTUAL, process.virtual_bytes.map(number));
    out.single(metrics::PROCESS_THREADS, process.threads.map(number));
    out.single(metrics::PROCESS_OPEN_FDS, process.open_fds.map(number));
    out.single(metrics::PROCESS_MAX_FDS, process.max_fds.map(number));
    out.family(metrics::WARMUP_PHASE, |family| {
        let phase = match snapshot.warmup_phase() {
            Phase::Waiting => "waiting",
            Phase::Releasing => "releasing",
            Phase::Over => "over",
        };
        family.add_state(&[], "phase", &["waiting", "releasing", "over"], phase);
    });
    out.single(metrics::EVENTS, number(snapshot.events));
    out.single(metrics::UNSERVED, number(*unserved as u64));
    write_config(snapshot, out);
    write_overrides(snapshot, out);
    write_webhooks(scene.webhooks, out)
}

fn write_config(snapshot: &Snapshot, out: &mut Exposition) {
    let tally = &snapshot.tally;
    let (since, newest) = tally.config();
    out.single(metrics::CONFIG_SUCCESSFUL, flag(newest));
    out.single(metrics::CONFIG_SUCCESS_TIME, since.as_secs_f64());
    out.family(metrics::CONFIG_RELOADS, |family| {
        for (result, count) in [("taken", &tally.reloads), ("refused", &tally.refused_reloads)] {
            family.add(&[("result", result)], number(count.get()));
        }
    });
    out.single(metrics::CONFIG_ROLLED_BACK, flag(tally.is_config_rolled_back()));
    out.single(metrics::CONFIG_CONFIRM_UNTIL, tally.confirm_until().map(|at| at.as_secs_f64()));
    out.family(metrics::COMMANDS, |family| {
        for (command, done, refused) in tally.commands() {
            family.add(&[("command", command), ("result", "done")], number(done));
            family.add(&[("command", command), ("result", "refused")], number(refused));
        }
    })
}

fn write_overrides(snapshot: &Snapshot, out: &mut Exposition) {
    let overrides = &snapshot.overrides;
    out.family(metrics::OVERRIDES, |family| {
        for kind in [BackendOverride::Paused, BackendOverride::Disabled, BackendOverride::Enabled] {
            let count = overrides.backends.values().filter(|set| set.value == kind).count();
            family.add(&[("kind", kind.word())], number(count as u64));
        }
        family.add(&[("kind", WEIGHT)], number(overrides.weights.len() as u64));
        family.add(&[("kind", DRAINED)], number(overrides.lb.is_some().into()));
    });
    let unmatched = overrides.unmatched(&snapshot.config).len();
    out.single(metrics::OVERRIDES_UNMATCHED, number(unmatched as u64));
    out.single(metrics::OVERRIDES_PERSISTED, number(snapshot.tally.overrides_kept().into()));
    out.single(metrics::HISTORY_WRITTEN, flag(snapshot.tally.history_written()));
    out.single(metrics::HISTORY_LOST, number(snapshot.tally.history_lost.get()));
    write_each_override(metrics::OVERRIDE_SET, snapshot, |entry| Some(entry.since()), out);
    write_each_override(metrics::OVERRIDE_END, snapshot, |entry| entry.stamp().remark.until, out)
}

/// A time of each override that has it.
fn write_each_override(
    metric: Metric,
    snapshot: &Snapshot,
    time: impl Fn(&Override) -> Option<SystemTime>,
    out: &mut Exposition,
) {
    out.family(metric, |family| {
        for entry in snapshot.overrides.iter() {
            let Some(time) = time(&entry) else { continue };
            let (kind, frontend, pool, backend) = match &entry {
                Override::Backend { name, state, .. } => (state.word(), "", "", name),
                Override::Weight { member, .. } => {
                    (WEIGHT, member.frontend.as_str(), member.pool.as_str(), &member.backend)
                }
                Override::Lb { .. } => (DRAINED, "", "", NO_NAME),
            };
            let labels = [("kind", kind), ("frontend", frontend), ("pool", pool), ("backend", backend)];
            family.add(&labels, unix_seconds(time));
        }
    })
}

fn write_webhooks(webhooks: &[Reading], out: &mut Exposition) {
    out.family(metrics::WEBHOOK_DELIVERIES, |family| {
        for webhook in webhooks {
            for (result, count) in webhook.attempts {
                family.add(&[("webhook", &webhook.name), ("result", result)], number(count));
            }
        }
    });
    let mut each = |metric, value: fn(&Reading) -> f64| {
        out.family(metric, |family| {
            webhooks.iter().for_each(|webhook| family.add(&[("webhook", &webhook.name)], value(webhook)));
        })
    };
    each(metrics::WEBHOOK_QUEUE, |webhook| number(webhook.waiting as u64));
    each(metrics::WEBHOOK_DROPPED, |webhook| number(webhook.dropped));
    each(metrics::WEBHOOK_FAILING, |webhook| flag(webhook.failing.is_some()))
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
