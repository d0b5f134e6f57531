//! A brain's state of any size: a real core, made from a configuration, with a result for every backend, and
//! counters as VPP would report them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::{self, Config};
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::desired::ViewId;
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::Overrides;
use maglev_engine::snapshot::Snapshot;
use maglev_protocol::{
    AgentInfo, AgentPolicy, Counters, Programmed, RouteCounters, ServerFigure, ServerFigures, ServerTraffic,
    VipCounters, VppInfo, VppState,
};
use tokio::time::Instant;

/// Backends of each frontend.
pub(crate) const BACKENDS: u32 = 10;

pub(crate) fn now() -> Now {
    Now { wall: SystemTime::now(), mono: Instant::now().into_std() }
}

/// Makes the core, without any result yet.
pub(crate) fn core(config: &Arc<Config>) -> Core {
    Core::new(Arc::clone(config), Overrides::default(), "/run/maglev/dpagent.sock".into(), now())
}

/// A probe's result.
pub(crate) fn report(name: &str, code: ProbeCode) -> Report {
    let duration = Duration::from_nanos(fastrand::u64(200_000..3_000_000));
    let outcome = ProbeOutcome { code, detail: "HTTP 200".into(), duration, asked: None };
    // Later than the time in which results say nothing, since VPP has just been met.
    let ended = Instant::now().into_std() + Duration::from_secs(10);
    Report {
        backend: name.into(),
        check: 0,
        outcome,
        late: Duration::from_micros(fastrand::u64(..800)),
        ended,
    }
}

/// Connects agent and VPP, and has every backend checked.
pub(crate) fn fill(core: &mut Core) {
    let info = AgentInfo { pid: 1, started: 1, no_echo: None, policy: AgentPolicy::default() };
    let connected = AgentEvent::Connected { version: "1.0.0".to_owned(), protocol: 5, info };
    core.handle(Input::Agent(connected), now());
    let (state, programmed) = (VppState::sample(1, Some(1)), Some((ViewId(1), Programmed::default())));
    let seen = AgentEvent::Vpp { info: VppInfo { generation: 1, state }, programmed };
    core.handle(Input::Agent(seen), now());
    let names: Vec<_> = core.config().backends.keys().cloned().collect();
    for name in names {
        core.handle(Input::Probe(report(&name, ProbeCode::L7Ok)), now());
    }
}

/// A configuration of so many frontends; the first backend's weight in the first is `weight`.
pub(crate) fn text(frontends: u32, weight: u8) -> String {
    let mut text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s } }
  healthchecks:
    web: { type: http, rise: 1, fall: 1 }
  backends:
"
    .to_owned();
    let address = |base: [u8; 4], place: u32| Ipv4Addr::from_bits(Ipv4Addr::from(base).to_bits() + place);
    for place in 0..frontends * BACKENDS {
        let address = address([10, 0, 0, 1], place);
        writeln!(text, "    backend-{place:05}: {{ address: {address}, healthcheck: web }}").unwrap();
    }
    text.push_str("  frontends:\n");
    for place in 0..frontends {
        let members = place * BACKENDS..(place + 1) * BACKENDS;
        let weight = |member| if member == 0 { weight } else { 100 };
        let members: Vec<_> =
            members.map(|member| format!("backend-{member:05}: {{ weight: {} }}", weight(member))).collect();
        let (address, members) = (address([203, 0, 0, 1], place), members.join(", "));
        writeln!(
            text,
            "    frontend-{place:04}: {{ address: {address}, protocol: tcp, port: 443, \
             pools: [ {{ name: primary, backends: {{ {members} }} }} ] }}"
        )
        .unwrap();
    }
    text
}

pub(crate) fn parse(text: &str) -> Config {
    config::parse("scale.yaml", text).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// Counters as VPP would report them.
pub(crate) fn counters(snapshot: &Snapshot) -> Counters {
    let mut vips: Vec<_> = snapshot
        .frontends
        .values()
        .map(|view| VipCounters {
            key: view.spec.key,
            epoch: 1,
            existing_sessions: fastrand::u64(..1 << 40),
            first_session: fastrand::u64(..1 << 30),
            untracked: 0,
            no_server: 0,
            route: Some(RouteCounters {
                epoch: 1,
                packets: fastrand::u64(..1 << 40),
                bytes: fastrand::u64(..1 << 50),
            }),
        })
        .collect();
    vips.sort_by_key(|vip| vip.key);
    let figure = |vip, address: &IpAddr| ServerFigure {
        vip,
        address: *address,
        weight: 1,
        buckets: 51,
        flows: fastrand::u64(..10_000),
    };
    let mut servers: Vec<_> = snapshot
        .frontends
        .values()
        .flat_map(|view| view.spec.servers.keys().map(|address| figure(view.spec.key, address)))
        .collect();
    servers.sort_by_key(|server| (server.vip, server.address));
    let mut sent: Vec<_> = snapshot
        .config
        .backends
        .values()
        .map(|backend| ServerTraffic {
            address: backend.address,
            packets: fastrand::u64(..1 << 40),
            bytes: fastrand::u64(..1 << 50),
            idle: Duration::ZERO,
        })
        .collect();
    sent.sort_by_key(|server| server.address);
    Counters {
        age: Duration::ZERO,
        vips,
        sent,
        servers: Some(ServerFigures { age: Duration::ZERO, servers }),
    }
}
