//! Converts snapshots to messages of the interface. Pure.

pub(super) mod activity;
pub(super) mod checks;
pub(super) mod events;
pub(super) mod figures;
pub(super) mod healthchecks;
pub(super) mod history;
pub(super) mod overrides;
pub(super) mod problems;
pub(super) mod routes;
pub(super) mod status;
pub(super) mod vpp;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maglev_engine::config::Service;
use maglev_engine::health::State;
use maglev_engine::overrides::{PoolMember, Stamped};
use maglev_engine::revisions::Revision;
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use maglev_engine::weights;
use maglev_proto::{
    Backend, BackendState, BackendUse, ConfigRevision, Frontend, FrontendState, Pool, PoolBackend, SyncState,
    Transition,
};
use maglev_protocol::Counters;
use tokio::time::Instant;

use crate::coalesced::Timed;

/// A configuration's record, and whether a rollback to it is possible.
pub(super) fn revision(revision: &Revision, intact: bool) -> ConfigRevision {
    ConfigRevision {
        number: revision.number,
        at_unix_ms: revision.at_ms,
        who: revision.who.as_deref().unwrap_or_default().to_owned(),
        origin: revision.origin.to_string(),
        size: revision.text.length,
        intact,
        other_than_file: revision.is_other_than_file(),
        confirm_until_unix_ms: revision.pending.map_or(0, |pending| pending.until_ms),
        back_to: revision.pending.map_or(0, |pending| pending.back_to),
    }
}

pub(super) fn frontend(snapshot: &Snapshot, name: &str) -> Option<Frontend> {
    let (configured, view) = (snapshot.config.frontends.get(name)?, snapshot.frontends.get(name)?);
    let (protocol, port) = match configured.service {
        Service::AllPorts => ("any", 0),
        Service::Tcp(port) => ("tcp", port),
        Service::Udp(port) => ("udp", port),
    };
    let (sync, sync_error) = self::sync(snapshot, &view.sync);
    let not_in_vpp = match &view.sync {
        SyncStatus::Synced => String::new(),
        SyncStatus::HeldBack => "held back by the warm-up until every backend is known".to_owned(),
        SyncStatus::Pending if !snapshot.agent.can_program() => snapshot.agent.why_not_programmed(),
        SyncStatus::Pending => "VPP has not acknowledged it yet".to_owned(),
        SyncStatus::Failed(reason) => reason.clone(),
    };
    let pools = configured.pools.iter().zip(view.weights.pools.iter().zip(&view.weights.capacity));
    let pools = pools.map(|(pool, (weights, capacity))| {
        let backends = pool.backends.iter().map(|(backend, &configured_weight)| {
            let weight = weights.get(backend);
            let set = operator_weight(snapshot, name, &pool.name, backend);
            PoolBackend {
                backend: backend.clone(),
                address: address_of(snapshot, backend),
                state: state_of(snapshot, backend).into(),
                configured_weight: configured_weight.into(),
                effective_weight: weight.map_or(0, |weight| weight.effective.into()),
                programmed_weight: weight.map_or(0, |weight| weight.programmed.into()),
                operator_weight: set.map(|set| set.value.into()),
                operator_since_unix_ms: set.map_or(0, |set| unix_ms(set.stamp.since)),
                ..PoolBackend::default()
            }
        });
        Pool {
            name: pool.name.clone(),
            backends: backends.collect(),
            up: capacity.up,
            min_up: capacity.min_up,
            below_min_up: view.below_min_up.contains(&pool.name),
        }
    });
    let pool_name = |index: Option<usize>| {
        let pool = index.and_then(|index| configured.pools.get(index));
        pool.map_or_else(String::new, |pool| pool.name.clone())
    };
    let doubts = view.table.doubts;
    let route = configured.announce.as_ref().and_then(|_| snapshot.routes.get(&configured.address));
    Some(Frontend {
        name: name.to_owned(),
        description: configured.description.clone(),
        address: configured.address.to_string(),
        protocol: protocol.to_owned(),
        port: port.into(),
        src_ip_sticky: configured.src_ip_sticky,
        flush_on_down: configured.flush_on_down,
        state: frontend_state(view.weights.state).into(),
        pools: pools.collect(),
        active_pool: pool_name(view.weights.active_pool),
        sync: sync.into(),
        sync_error,
        not_in_vpp,
        new_flows_table_length: view.spec.new_flows_table_length,
        kept_table_length: view.kept_table_length().unwrap_or(0),
        slow_start_ms: configured.slow_start.map_or(0, milliseconds),
        panic_threshold: configured.panic_threshold.map_or(0, u32::from),
        panic_pool: pool_name(view.weights.panic),
        worst_share_error_percent: view.table.scale.worst_error().into(),
        announcement: routes::announcement(route.and_then(|view| view.route.announcement)).into(),
        announcement_reason: route.map_or_else(String::new, |view| view.route.reason.to_string()),
        inexpressible: view.table.inexpressible.clone().unwrap_or_default(),
        better_table_length: doubts.and_then(|doubts| doubts.longer).map_or(0, |longer| longer.table_length),
        ..Frontend::default()
    })
}

pub(super) fn backend(snapshot: &Snapshot, name: &str, now: std::time::Instant) -> Option<Backend> {
    let (configured, view) = (snapshot.config.backends.get(name)?, snapshot.backends.get(name)?);
    let transitions = view.health.history().map(|transition| Transition {
        from: proto_state(transition.from).into(),
        to: proto_state(transition.to).into(),
        at_unix_ms: unix_ms(transition.at),
        cause: transition.cause.to_string(),
    });
    let set = snapshot.overrides.backends.get(name);
    let (operator_set_by, operator_reason, operator_until_unix_ms) =
        set.map(|set| overrides::remark(&set.stamp)).unwrap_or_default();
    let has_several = view.checks.len() > 1;
    Some(Backend {
        name: name.to_owned(),
        address: configured.address.to_string(),
        healthcheck: configured.healthchecks.join(", "),
        state: proto_state(view.health.state()).into(),
        enabled: configured.enabled,
        counter: Some(checks::worst_counter(&view.health)),
        last_probe: view.last_probe().map(checks::probe_result),
        checks: if has_several { checks::checks(view) } else { Vec::new() },
        require: if has_several { configured.require.to_string() } else { String::new() },
        state_detail: checks::state_detail(view, now),
        damped_ms: checks::damped(view, now).map(milliseconds),
        server_share_percent: checks::share(view).map(|share| share.percent().into()),
        transitions: transitions.collect(),
        frontends: view.frontends.iter().map(|frontend| frontend.to_string()).collect(),
        operator_state: overrides::operator_state(set.map(|set| set.value)).into(),
        operator_since_unix_ms: set.map_or(0, |set| unix_ms(set.stamp.since)),
        operator_set_by,
        operator_reason,
        operator_until_unix_ms,
        since_unix_ms: view.health.since().map_or(0, unix_ms),
        labels: configured.label_words().collect(),
        ..Backend::default()
    })
}

/// A backend's rows in all pools, with VPP's counters.
pub(super) fn uses(
    snapshot: &Snapshot,
    name: &str,
    figures: Result<&Timed<Counters>, &str>,
    now: Instant,
) -> Vec<BackendUse> {
    let names = snapshot.backends.get(name).map(|view| Arc::clone(&view.frontends)).unwrap_or_default();
    let frontends = names.iter().filter_map(|name| frontend(snapshot, name));
    let uses = frontends.flat_map(|mut frontend| {
        figures::fill(&mut frontend, snapshot, figures, now);
        let Frontend { name: frontend, pools, sync, .. } = frontend;
        let rows = pools.into_iter().flat_map(|pool| {
            let Pool { name: pool, backends, .. } = pool;
            backends.into_iter().map(move |row| (pool.clone(), row))
        });
        rows.map(move |(pool, row)| BackendUse { frontend: frontend.clone(), pool, row: Some(row), sync })
    });
    uses.filter(|used| used.row.as_ref().is_some_and(|row| row.backend == name)).collect()
}

/// A frontend's progress in VPP, and why the last sync failed, if it did.
pub(super) fn sync(snapshot: &Snapshot, status: &SyncStatus) -> (SyncState, String) {
    match status {
        SyncStatus::HeldBack => (SyncState::HeldBack, String::new()),
        SyncStatus::Pending if !snapshot.agent.can_program() => (SyncState::Disconnected, String::new()),
        SyncStatus::Pending => (SyncState::Pending, String::new()),
        SyncStatus::Synced => (SyncState::Synced, String::new()),
        SyncStatus::Failed(reason) => (SyncState::Failed, reason.clone()),
    }
}

fn operator_weight<'a>(
    snapshot: &'a Snapshot,
    frontend: &str,
    pool: &str,
    backend: &str,
) -> Option<&'a Stamped<u8>> {
    let weights = &snapshot.overrides.weights;
    // Usually there are none, but thousands of rows.
    if weights.is_empty() {
        return None;
    }
    let (frontend, pool, backend) = (frontend.to_owned(), pool.to_owned(), backend.to_owned());
    weights.get(&PoolMember { frontend, pool, backend })
}

fn address_of(snapshot: &Snapshot, backend: &str) -> String {
    snapshot.config.backends.get(backend).map_or_else(String::new, |backend| backend.address.to_string())
}

fn state_of(snapshot: &Snapshot, backend: &str) -> BackendState {
    let view = snapshot.backends.get(backend);
    view.map_or(BackendState::Removed, |view| proto_state(view.health.state()))
}

fn frontend_state(state: weights::FrontendState) -> FrontendState {
    match state {
        weights::FrontendState::Unknown => FrontendState::Unknown,
        weights::FrontendState::Up => FrontendState::Up,
        weights::FrontendState::Down => FrontendState::Down,
    }
}

fn proto_state(state: State) -> BackendState {
    match state {
        State::Unknown => BackendState::Unknown,
        State::Up => BackendState::Up,
        State::Down => BackendState::Down,
        State::Paused => BackendState::Paused,
        State::Disabled => BackendState::Disabled,
        State::Removed => BackendState::Removed,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Unix milliseconds; 0 for a time before 1970, from a clock that was never set.
pub(super) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
