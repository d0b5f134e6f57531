//! Status of the agent, and VPP's state.

mod syncs;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use maglev_engine::desired::vip_key;
use maglev_engine::snapshot::{AgentStatus, Snapshot};
use maglev_proto::{AgentInfo, VppApplicationServer, VppInfo, VpplbConf, VpplbState, Vppvip};
use maglev_protocol::{ALL_PORTS_PROTOCOL, LbState, VipKey, VipState, VppState};
use tokio::time::Instant;

pub(super) use syncs::change as change_in_words;
pub(in crate::grpc) use syncs::sync_report;

use super::{milliseconds, unix_ms};
use crate::coalesced::Timed;

pub(in crate::grpc) fn agent(agent: &AgentStatus) -> AgentInfo {
    let (connected, reason, version) = match &agent.connection {
        Ok(version) => (true, String::new(), version.clone()),
        Err(reason) => (false, reason.clone(), String::new()),
    };
    let (process, drift) = (agent.process.as_ref(), agent.drift.newest.as_ref());
    AgentInfo {
        connected,
        reason,
        socket: agent.socket.display().to_string(),
        version,
        protocol: process.map_or(0, |process| process.protocol),
        pid: process.map_or(0, |process| process.pid),
        started_unix_ms: process.map_or(0, |process| unix_ms(process.started)),
        connected_unix_ms: process.map_or(0, |process| unix_ms(process.connected)),
        connections: agent.connections,
        foreign: agent.foreign.iter().map(VipKey::to_string).collect(),
        settings_refused: agent.settings_refused.clone().unwrap_or_default(),
        drift_total: agent.drift.total,
        drift: drift.map(|(_, lines)| lines.clone()).unwrap_or_default(),
        drift_at_unix_ms: drift.map_or(0, |(at, _)| unix_ms(*at)),
        no_echo: process.and_then(|process| process.no_echo.clone()).unwrap_or_default(),
    }
}

pub(in crate::grpc) fn info(snapshot: &Snapshot) -> VppInfo {
    info_of(&snapshot.agent)
}

pub(super) fn info_of(agent: &AgentStatus) -> VppInfo {
    let connected = agent.connection.is_ok();
    let mut info = VppInfo { agent: Some(self::agent(agent)), ..VppInfo::default() };
    match agent.vpp.as_ref().map(|(vpp, since)| (&vpp.state, *since)) {
        None => {
            info.state = "unknown".to_owned();
            info.reason =
                if connected { "the agent has not reported yet" } else { "the agent is disconnected" }
                    .to_owned();
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
            info.lb_api = agent.dialect.map_or_else(String::new, |dialect| dialect.lb_api().to_owned());
            info.pid = *pid;
            info.boot_time_unix_ms = boot_time.unwrap_or(0).saturating_mul(1000);
            let connected = since.checked_sub(Duration::from_secs(*connected_for)).unwrap_or(since);
            info.connected_unix_ms = unix_ms(connected);
        }
    }
    info
}

pub(in crate::grpc) fn lb_state(snapshot: &Snapshot, timed: &Timed<LbState>, now: Instant) -> VpplbState {
    let state = &timed.value;
    let frontends = frontends_by_vip(snapshot);
    let mut vips: Vec<_> = state
        .vips
        .iter()
        .map(|vip| (frontends.get(&vip.key).copied(), vip))
        .map(|(frontend, vip)| proto_vip(snapshot, frontend, vip))
        .collect();
    // The agent sorts by key, and this sort is stable.
    vips.sort_by(|a, b| (a.frontend.is_empty(), &a.frontend).cmp(&(b.frontend.is_empty(), &b.frontend)));
    let conf = VpplbConf {
        ip4_src_address: source(state.conf.ip4_src_address.into(), Ipv4Addr::BROADCAST.into()),
        ip6_src_address: source(state.conf.ip6_src_address.into(), Ipv6Addr::from_bits(u128::MAX).into()),
        sticky_buckets_per_core: state.conf.sticky_buckets_per_core,
        flow_timeout_seconds: state.conf.flow_timeout,
    };
    VpplbState { conf: Some(conf), vips, age_ms: milliseconds(timed.age(now)) }
}

/// Empty if unset, which VPP shows as all ones.
fn source(address: IpAddr, unset: IpAddr) -> String {
    if address == unset || address.is_unspecified() { String::new() } else { address.to_string() }
}

/// Names of frontends by their VIPs.
pub(super) fn frontends_by_vip(snapshot: &Snapshot) -> BTreeMap<VipKey, &str> {
    snapshot.config.frontends.iter().map(|(name, frontend)| (vip_key(frontend), name.as_str())).collect()
}

pub(super) fn protocol(number: u8) -> String {
    match number {
        ALL_PORTS_PROTOCOL => "any".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        number => number.to_string(),
    }
}

fn proto_vip(snapshot: &Snapshot, frontend: Option<&str>, vip: &VipState) -> Vppvip {
    let names = frontend.map(|name| backend_names(snapshot, name)).unwrap_or_default();
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
        protocol: protocol(vip.key.protocol),
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
