//! From a snapshot to the messages of the interface. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maglev_proto::{
    AgentInfo, Backend, BackendState, Frontend, FrontendState, HealthCounter, Pool, PoolBackend, ProbeResult,
    SyncState, Transition, VppApplicationServer, VppInfo, VpplbConf, VpplbState, Vppvip,
};
use maglev_protocol::{ALL_PORTS_PROTOCOL, LbState, VipKey, VipState, VppState};

use crate::config::Service;
use crate::controller::{Snapshot, SyncStatus};
use crate::desired::vip_key;
use crate::health::State;
use crate::weights;

pub(super) fn frontend(snapshot: &Snapshot, name: &str) -> Option<Frontend> {
    let (configured, view) = (snapshot.config.frontends.get(name)?, snapshot.frontends.get(name)?);
    let (protocol, port) = match configured.service {
        Service::AllPorts => ("any", 0),
        Service::Tcp(port) => ("tcp", port),
        Service::Udp(port) => ("udp", port),
    };
    let state = match view.weights.state {
        weights::FrontendState::Unknown => FrontendState::Unknown,
        weights::FrontendState::Up => FrontendState::Up,
        weights::FrontendState::Down => FrontendState::Down,
    };
    let (sync, sync_error) = match &view.sync {
        SyncStatus::HeldBack => (SyncState::HeldBack, String::new()),
        SyncStatus::Pending => (SyncState::Pending, String::new()),
        SyncStatus::Synced => (SyncState::Synced, String::new()),
        SyncStatus::Failed(reason) => (SyncState::Failed, reason.clone()),
    };
    let pools = configured.pools.iter().zip(&view.weights.pools).map(|(pool, weights)| {
        let backends = pool.backends.iter().map(|(backend, &configured_weight)| {
            let weight = weights.get(backend);
            PoolBackend {
                backend: backend.clone(),
                address: address_of(snapshot, backend),
                state: state_of(snapshot, backend).into(),
                configured_weight: configured_weight.into(),
                effective_weight: weight.map_or(0, |weight| weight.effective.into()),
                programmed_weight: weight.map_or(0, |weight| weight.programmed.into()),
            }
        });
        Pool { name: pool.name.clone(), backends: backends.collect() }
    });
    let active_pool = view.weights.active_pool.and_then(|index| configured.pools.get(index));
    Some(Frontend {
        name: name.to_owned(),
        description: configured.description.clone(),
        address: configured.address.to_string(),
        protocol: protocol.to_owned(),
        port: port.into(),
        src_ip_sticky: configured.src_ip_sticky,
        flush_on_down: configured.flush_on_down,
        state: state.into(),
        pools: pools.collect(),
        active_pool: active_pool.map_or_else(String::new, |pool| pool.name.clone()),
        sync: sync.into(),
        sync_error,
        new_flows_table_length: view.spec.new_flows_table_length,
        kept_table_length: view.kept_table_length().unwrap_or(0),
    })
}

pub(super) fn backend(snapshot: &Snapshot, name: &str) -> Option<Backend> {
    let (configured, view) = (snapshot.config.backends.get(name)?, snapshot.backends.get(name)?);
    let transitions = view.health.history().map(|transition| Transition {
        from: proto_state(transition.from).into(),
        to: proto_state(transition.to).into(),
        at_unix_ms: unix_ms(transition.at),
        cause: transition.cause.to_string(),
    });
    Some(Backend {
        name: name.to_owned(),
        address: configured.address.to_string(),
        healthcheck: configured.healthcheck.clone().unwrap_or_default(),
        state: proto_state(view.health.state()).into(),
        enabled: configured.enabled,
        counter: Some(HealthCounter {
            value: view.health.counter(),
            rise: view.health.rise(),
            fall: view.health.fall(),
        }),
        last_probe: view.last_probe.as_ref().map(|last| ProbeResult {
            passed: last.outcome.passed(),
            code: last.outcome.code.to_string(),
            detail: last.outcome.detail.clone(),
            at_unix_ms: unix_ms(last.at),
            duration_ms: last.outcome.duration.as_secs_f64() * 1e3,
        }),
        transitions: transitions.collect(),
        frontends: view.frontends.iter().map(|frontend| frontend.to_string()).collect(),
    })
}

pub(super) fn vpp_info(snapshot: &Snapshot) -> VppInfo {
    let agent = &snapshot.agent;
    let (connected, reason, version) = match &agent.connection {
        Ok(version) => (true, String::new(), version.clone()),
        Err(reason) => (false, reason.clone(), String::new()),
    };
    let agent_info = AgentInfo { connected, reason, socket: agent.socket.display().to_string(), version };
    let mut info = VppInfo { agent: Some(agent_info), ..VppInfo::default() };
    match agent.vpp.as_ref().map(|(vpp, since)| (&vpp.state, *since)) {
        None => {
            info.state = "unknown".to_owned();
            info.reason =
                if connected { "the agent has not told yet" } else { "the agent is away" }.to_owned();
        }
        Some((VppState::Disconnected { reason, .. }, _)) => {
            info.state = "disconnected".to_owned();
            info.reason = reason.clone();
        }
        Some((VppState::Incompatible { version, missing, needs }, _)) => {
            info.state = "incompatible".to_owned();
            info.version = version.clone();
            info.reason = format!("lacks {}; {needs}", missing.join(", "));
        }
        Some((
            VppState::Connected { version, build_date, build_directory, pid, boot_time, connected_for },
            since,
        )) => {
            info.state = "connected".to_owned();
            info.version = version.clone();
            info.build_date = build_date.clone();
            info.build_directory = build_directory.clone();
            info.pid = *pid;
            info.boot_time_unix_ms = boot_time.unwrap_or(0).saturating_mul(1000);
            let connected = since.checked_sub(Duration::from_secs(*connected_for)).unwrap_or(since);
            info.connected_unix_ms = unix_ms(connected);
        }
    }
    info
}

pub(super) fn lb_state(snapshot: &Snapshot, state: &LbState) -> VpplbState {
    let frontends: BTreeMap<VipKey, &str> =
        snapshot.config.frontends.iter().map(|(name, frontend)| (vip_key(frontend), name.as_str())).collect();
    let mut vips: Vec<_> = state
        .vips
        .iter()
        .map(|vip| (frontends.get(&vip.key).copied(), vip))
        .map(|(frontend, vip)| proto_vip(snapshot, frontend, vip))
        .collect();
    // The agent sorts by key, and this sort is stable.
    vips.sort_by(|a, b| (a.frontend.is_empty(), &a.frontend).cmp(&(b.frontend.is_empty(), &b.frontend)));
    let conf = VpplbConf {
        ip4_src_address: state.conf.ip4_src_address.to_string(),
        ip6_src_address: state.conf.ip6_src_address.to_string(),
        sticky_buckets_per_core: state.conf.sticky_buckets_per_core,
        flow_timeout_seconds: state.conf.flow_timeout,
    };
    VpplbState { conf: Some(conf), vips }
}

fn proto_vip(snapshot: &Snapshot, frontend: Option<&str>, vip: &VipState) -> Vppvip {
    let names = frontend.map(|name| backend_names(snapshot, name)).unwrap_or_default();
    let protocol = match vip.key.protocol {
        ALL_PORTS_PROTOCOL => "any".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        number => number.to_string(),
    };
    let servers = vip.servers.iter().map(|server| VppApplicationServer {
        address: server.address.to_string(),
        backend: names.get(&server.address).map_or_else(String::new, |name| (*name).to_owned()),
        weight: server.weight.into(),
        buckets: server.buckets,
        flows: server.flows,
    });
    Vppvip {
        frontend: frontend.unwrap_or_default().to_owned(),
        prefix: vip.key.prefix.to_string(),
        protocol,
        port: vip.key.port.into(),
        encap: vip.encap.to_string(),
        src_ip_sticky: vip.src_ip_sticky,
        new_flows_table_length: vip.new_flows_table_length,
        index: vip.index,
        application_servers: servers.collect(),
    }
}

/// Names of a frontend's backends by their addresses, which are unique within it.
fn backend_names<'a>(snapshot: &'a Snapshot, frontend: &str) -> BTreeMap<IpAddr, &'a str> {
    let pools = snapshot.config.frontends.get(frontend).map(|frontend| &frontend.pools);
    let names = pools.into_iter().flatten().flat_map(|pool| pool.backends.keys());
    names.filter_map(|name| Some((snapshot.config.backends.get(name)?.address, name.as_str()))).collect()
}

fn address_of(snapshot: &Snapshot, backend: &str) -> String {
    snapshot.config.backends.get(backend).map_or_else(String::new, |backend| backend.address.to_string())
}

fn state_of(snapshot: &Snapshot, backend: &str) -> BackendState {
    let view = snapshot.backends.get(backend);
    view.map_or(BackendState::Removed, |view| proto_state(view.health.state()))
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

/// Unix milliseconds; 0 for a time before 1970, which a clock that was never set shows.
fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
