mod changes;
mod checks;
mod crowds;
mod encrypted;
mod figures;
mod fleet;
mod healthchecks;
pub(in crate::grpc) mod pki;
mod preview;
mod problems;
mod refusals;
mod roles;
mod standard;
mod syncs;
mod watch;

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::parse;
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::Overrides;
use maglev_proto::words::Word;
use maglev_proto::{BackendState, FrontendState, SyncState};
use maglev_protocol::{
    AgentInfo, AgentPolicy, Change, Encap, FullRead, LbConf, LbState, ServerState, StepError, SyncReport,
    VipKey, VipReport, VipState, VppState,
};

use super::*;

fn at(seconds: u64) -> Now {
    Now { wall: UNIX_EPOCH + Duration::from_secs(seconds), mono: Instant::now().into_std() }
}

fn core() -> Core {
    let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s } }
  healthchecks:
    web: { type: http, rise: 2, fall: 3 }
  backends:
    b1: { address: 10.0.0.1, healthcheck: web }
    b2: { address: 10.0.0.2, healthcheck: web }
    b3: { address: 10.0.0.3 }
  frontends:
    shop:
      description: The shop
      address: 203.0.113.10
      protocol: tcp
      port: 443
      pools:
        - { name: primary, backends: { b2: { weight: 100 }, b1: { weight: 50 } } }
        - { name: fallback, backends: { b3: {} } }
    any: { address: 203.0.113.11, pools: [ { name: only, backends: { b3: {} } } ] }
";
    let config = parse("test.yaml", text).unwrap().config;
    Core::new(Arc::new(config), Overrides::default(), "/run/maglev/dpagent.sock".into(), at(1000))
}

fn probe(core: &mut Core, backend: &str, code: ProbeCode, detail: &str) {
    let outcome =
        ProbeOutcome { code, detail: detail.into(), duration: Duration::from_millis(3), asked: None };
    // After the start, as for every probe.
    let ended = Instant::now().into_std() + outcome.duration;
    let late = Duration::ZERO;
    core.handle(Input::Probe(Report { backend: backend.into(), check: 0, outcome, late, ended }), at(2000));
}

#[test]
fn frontend_shows_weights_of_every_pool() {
    let mut core = core();
    let before = view::frontend(&core.snapshot(Instant::now().into_std()), "shop").unwrap();
    assert_eq!(before.sync(), SyncState::HeldBack);
    assert_eq!(before.state(), FrontendState::Up, "the fallback's static backend serves meanwhile");
    probe(&mut core, "b1", ProbeCode::L7Ok, "HTTP 200");
    probe(&mut core, "b2", ProbeCode::L7Sts, "HTTP 503");
    let shop = view::frontend(&core.snapshot(Instant::now().into_std()), "shop").unwrap();
    assert_eq!((shop.address.as_str(), shop.protocol.as_str(), shop.port), ("203.0.113.10", "tcp", 443));
    assert_eq!((shop.active_pool.as_str(), shop.sync()), ("primary", SyncState::Disconnected));
    let rows = shop.pools.iter().flat_map(|pool| &pool.backends);
    let rows: Vec<_> = rows
        .map(|row| {
            let weights = (row.configured_weight, row.effective_weight, row.programmed_weight);
            (row.backend.as_str(), row.state().word(), weights)
        })
        .collect();
    let expected = [("b1", "up", (50, 50, 1)), ("b2", "down", (100, 0, 0)), ("b3", "up", (100, 0, 0))];
    assert_eq!(rows, expected);
    assert_eq!(view::frontend(&core.snapshot(Instant::now().into_std()), "nope"), None);
}

#[test]
fn backend_shows_its_history() {
    let mut core = core();
    probe(&mut core, "b1", ProbeCode::L4Con, "connection refused");
    let backend =
        view::backend(&core.snapshot(Instant::now().into_std()), "b1", Instant::now().into_std()).unwrap();
    assert_eq!(backend.state(), BackendState::Down);
    assert_eq!(backend.frontends, ["shop"]);
    let last = backend.last_probe.unwrap();
    assert_eq!((last.passed, last.code.as_str(), last.duration_ms), (false, "L4CON", 3.0));
    let transition = &backend.transitions[0];
    assert_eq!((transition.from(), transition.to()), (BackendState::Unknown, BackendState::Down));
    assert_eq!(transition.cause, "L4CON: connection refused");
    assert_eq!(transition.at_unix_ms, 2_000_000);
    let fixed =
        view::backend(&core.snapshot(Instant::now().into_std()), "b3", Instant::now().into_std()).unwrap();
    assert_eq!((fixed.state(), fixed.frontends.len()), (BackendState::Up, 2));
}

#[test]
fn vpp_info_tells_who_is_away() {
    let mut core = core();
    let info = view::vpp::info(&core.snapshot(Instant::now().into_std()));
    assert_eq!((info.state.as_str(), info.reason.as_str()), ("unknown", "the agent is disconnected"));
    assert_eq!(info.agent.unwrap().reason, "not connected yet");
    core.handle(Input::Agent(agent_connects()), at(3000));
    let gone = VppState::Disconnected { reason: "no such file".into(), silent_ms: 0 };
    let vpp = maglev_protocol::VppInfo { generation: 1, state: gone };
    core.handle(Input::Agent(AgentEvent::Vpp { info: vpp, programmed: None }), at(3000));
    let info = view::vpp::info(&core.snapshot(Instant::now().into_std()));
    assert_eq!((info.state.as_str(), info.reason.as_str()), ("disconnected", "no such file"));
    let vpp = maglev_protocol::VppInfo { generation: 2, state: VppState::sample(7, Some(2500)) };
    core.handle(Input::Agent(AgentEvent::Vpp { info: vpp, programmed: None }), at(3000));
    let info = view::vpp::info(&core.snapshot(Instant::now().into_std()));
    assert_eq!((info.state.as_str(), info.pid), ("connected", 7));
    assert_eq!((info.boot_time_unix_ms, info.connected_unix_ms), (2_500_000, 2_900_000));
    let agent = info.agent.unwrap();
    assert_eq!(
        agent,
        view::vpp::agent(&core.snapshot(Instant::now().into_std()).agent),
        "GetAgentInfo says the same"
    );
    assert_eq!((agent.version.as_str(), agent.protocol, agent.pid), ("0.1.0", 5, 77));
    assert_eq!(
        (agent.started_unix_ms, agent.connected_unix_ms, agent.connections),
        (2_400_000, 3_000_000, 1)
    );
    assert_eq!(agent.no_echo, "no privilege");
    core.handle(Input::Agent(AgentEvent::Disconnected { reason: "upgrade it".into() }), at(3100));
    let agent = view::vpp::agent(&core.snapshot(Instant::now().into_std()).agent);
    assert_eq!((agent.connected, agent.reason.as_str(), agent.connections), (false, "upgrade it", 1));
    assert_eq!((agent.pid, agent.started_unix_ms, agent.connected_unix_ms), (0, 0, 0));
}

fn agent_connects() -> AgentEvent {
    let info = AgentInfo {
        pid: 77,
        started: 2400,
        no_echo: Some("no privilege".into()),
        policy: AgentPolicy::default(),
    };
    AgentEvent::Connected { version: "0.1.0".into(), protocol: 5, info }
}

#[test]
fn full_sync_is_told_in_words() {
    let server = |last| IpAddr::from([10, 0, 0, last]);
    let (shop, any) =
        (VipKey::port([203, 0, 113, 10].into(), 6, 443), VipKey::all_ports([203, 0, 113, 11].into()));
    let (gone, foreign) =
        (VipKey::port([203, 0, 113, 10].into(), 6, 44), VipKey::port([192, 0, 2, 9].into(), 17, 53));
    let vip = |key, changes, errors| VipReport { key, changes, table_length: None, errors };
    let report = SyncReport {
        vips: vec![
            vip(
                gone,
                vec![Change::ServerRemoved { server: server(9), flushed: true }, Change::VipRemoved],
                vec![],
            ),
            vip(
                shop,
                vec![
                    Change::VipRecreated { reason: "another encapsulation".into() },
                    Change::VipAdded,
                    Change::ServerAdded { server: server(1), weight: 1 },
                    Change::Reweighted { server: server(2), from: 100, to: 0, flushed: true },
                    Change::Reweighted { server: server(2), from: 0, to: 2, flushed: false },
                    Change::Flushed { server: server(2), weight: 2 },
                ],
                vec![],
            ),
            vip(
                any,
                vec![],
                vec![StepError { step: "add".into(), code: Some(-1), meaning: "no room".into() }],
            ),
            vip(foreign, vec![], vec![]),
        ],
        drift: vec![
            format!("VIP {gone} is gone"),
            format!("VIP {shop}: server 10.0.0.9 of weight 1 is gone"),
        ],
        read: Some(FullRead { vips: 3, servers: 7 }),
        foreign: vec![foreign],
        conf: None,
    };
    let snapshot = core().snapshot(Instant::now().into_std());
    let told = view::vpp::sync_report(&snapshot, &report, None);
    let rows: Vec<_> = told.vips.iter().map(|row| (row.frontend.as_str(), row.vip.clone())).collect();
    let expected = [("any", any.to_string()), ("shop", shop.to_string()), ("", gone.to_string())];
    assert_eq!(rows, expected);
    assert_eq!(told.vips[0].errors, ["VPP refused to add: no room"]);
    assert_eq!(
        told.vips[1].changes,
        [
            "VIP removed to re-create it: another encapsulation",
            "VIP made",
            "10.0.0.1 added, weight 1",
            "weight of 10.0.0.2: 100 -> 0, flushed",
            "weight of 10.0.0.2: 0 -> 2",
            "10.0.0.2 flushed, weight 2",
        ]
    );
    assert_eq!(told.vips[2].changes, ["10.0.0.9 removed, flushed", "VIP removed"]);
    assert_eq!((told.drift.len(), told.foreign.as_slice()), (2, &["192.0.2.9 udp/53".to_owned()][..]));
    assert_eq!(told.held_back, ["shop"]);
    assert_eq!((told.vips_read, told.application_servers_read), (3, 7));

    let told = view::vpp::sync_report(&snapshot, &report, Some("shop"));
    assert_eq!((told.vips.len(), told.vips[0].frontend.as_str()), (1, "shop"));
    assert_eq!(told.drift, [format!("VIP {shop}: server 10.0.0.9 of weight 1 is gone")]);
    assert_eq!((told.held_back, told.foreign.len(), told.vips_read), (vec!["shop".to_owned()], 0, 3));
    let told = view::vpp::sync_report(&snapshot, &report, Some("gone"));
    assert_eq!((told.vips.len(), told.drift.len(), told.held_back.len()), (0, 0, 0));
}

#[test]
fn lb_state_is_sorted_by_frontend_and_names_what_it_knows() {
    let server =
        |last, weight, buckets| ServerState { address: [10, 0, 0, last].into(), weight, buckets, flows: 0 };
    let vip = |key, servers| VipState {
        key,
        index: 1,
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers,
    };
    let conf = LbConf {
        ip4_src_address: [192, 0, 2, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::UNSPECIFIED,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    let foreign = VipKey::port([192, 0, 2, 99].into(), 17, 53);
    let vips = vec![
        vip(foreign, vec![]),
        vip(VipKey::port([203, 0, 113, 10].into(), 6, 443), vec![server(1, 1, 341), server(9, 2, 683)]),
        vip(VipKey::all_ports([203, 0, 113, 11].into()), vec![]),
    ];
    let now = Instant::now();
    let read = LbState { conf, vips, age: Duration::from_millis(300) };
    let timed = Timed { value: read, at: now - Duration::from_millis(700) };
    let state = view::vpp::lb_state(&core().snapshot(now.into_std()), &timed, now);
    assert_eq!(state.age_ms, 1000);
    let vips: Vec<_> =
        state.vips.iter().map(|vip| (vip.frontend.as_str(), vip.protocol.as_str(), vip.port)).collect();
    assert_eq!(vips, [("any", "any", 0), ("shop", "tcp", 443), ("", "udp", 53)]);
    let servers: Vec<_> =
        state.vips[1].application_servers.iter().map(|row| (row.backend.as_str(), row.buckets)).collect();
    assert_eq!(servers, [("b1", 341), ("", 683)]);
}
