//! Metrics of agent, VPP and syncs.

use std::time::UNIX_EPOCH;

use maglev_engine::snapshot::Snapshot;
use maglev_engine::tally::{BrainTally, StepKind};
use maglev_protocol::{Counters, VppState};

use super::catalogue as metrics;
use super::exposition::{Exposition, flag, number};

pub(super) fn write(snapshot: &Snapshot, counters: Option<&Counters>, out: &mut Exposition) {
    let tally = &*snapshot.tally;
    let agent = &snapshot.agent;
    out.single(metrics::AGENT_UP, flag(agent.connection.is_ok()));
    out.family(metrics::AGENT_INFO, |family| {
        if let (Ok(version), Some(process)) = (&agent.connection, &agent.process) {
            family.add(&[("version", version), ("protocol", &process.protocol.to_string())], 1.0);
        }
    });
    let started = agent.process.as_ref().and_then(|process| process.started.duration_since(UNIX_EPOCH).ok());
    out.single(metrics::AGENT_START, started.map(|started| started.as_secs_f64()));
    out.single(metrics::AGENT_CONNECTIONS, number(tally.agent_connections.get()));
    let since = Some(tally.agent_since()).filter(|since| !since.is_zero());
    out.single(metrics::AGENT_SINCE, since.map(|since| since.as_secs_f64()));
    write_vpp(snapshot, out);
    out.single(metrics::VPP_COUNTERS_UP, flag(counters.is_some()));
    out.single(metrics::VPP_COUNTERS_AGE, counters.map(|counters| counters.age.as_secs_f64()));
    let servers = counters.and_then(|counters| counters.servers.as_ref());
    out.single(metrics::VPP_SERVERS_AGE, servers.map(|servers| servers.age.as_secs_f64()));
    write_syncs(tally, out)
}

fn write_vpp(snapshot: &Snapshot, out: &mut Exposition) {
    let tally = &*snapshot.tally;
    let vpp = snapshot.agent.vpp.as_ref().map(|(vpp, _)| &vpp.state);
    let (version, build_date, started) = match vpp {
        Some(VppState::Connected { version, build_date, boot_time, .. }) => {
            (Some(version.as_str()), build_date.as_str(), *boot_time)
        }
        Some(VppState::Incompatible { version, .. }) => (Some(version.as_str()), "", None),
        Some(VppState::Disconnected { .. }) | None => (None, "", None),
    };
    out.single(metrics::VPP_UP, flag(matches!(vpp, Some(VppState::Connected { .. }))));
    out.family(metrics::VPP_INFO, |family| {
        if let Some(version) = version {
            family.add(&[("version", version), ("build_date", build_date)], 1.0);
        }
    });
    out.single(metrics::VPP_START, started.map(number));
    out.single(metrics::VPP_CONNECTIONS, number(tally.vpp_connections.get()));
    out.single(metrics::VPP_RESTARTS, number(tally.vpp_restarts.get()));
    out.single(metrics::VPP_FOREIGN_VIPS, tally.foreign().map(number))
}

fn write_syncs(tally: &BrainTally, out: &mut Exposition) {
    out.family(metrics::SYNCS, |family| {
        for (kind, syncs) in [("vip", &tally.vip_syncs), ("full", &tally.full_syncs)] {
            for (result, count) in [("ok", &syncs.ok), ("refused", &syncs.refused)] {
                family.add(&[("kind", kind), ("result", result)], number(count.get()));
            }
        }
    });
    out.single(metrics::SYNCS_FAILED, number(tally.failed_syncs.get()));
    out.family(metrics::SYNC_STEPS, |family| {
        for (kind, word) in StepKind::ALL {
            family.add(&[("kind", word)], number(tally.steps(kind)));
        }
    });
    out.single(metrics::SYNC_FLUSHES, number(tally.flushes.get()));
    out.single(metrics::SYNC_ERRORS, number(tally.step_errors.get()));
    out.single(metrics::SYNC_DRIFT, number(tally.drift.get()));
    out.family(metrics::EVENT_TO_VPP, |family| family.add_histogram(&[], &tally.event_to_vpp.read()))
}
