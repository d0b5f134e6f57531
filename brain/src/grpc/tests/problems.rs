use std::time::SystemTime;

use maglev_engine::core::{Command, RouterEvent};
use maglev_engine::routes::Announcement;
use maglev_proto::{Problem, Severity};

use super::view::problems::Beside;
use super::*;
use crate::reload::LastReload;

fn problems(core: &mut Core, reload: Option<&LastReload>) -> Vec<Problem> {
    let now = at(3000);
    let beside = Beside { reload, ..Beside::default() };
    view::status::status(&core.snapshot(now.mono), "maglev.yaml".as_ref(), &beside, now).problems
}

fn words(problems: &[Problem]) -> Vec<String> {
    let word = |problem: &Problem| {
        format!("{:?} {} {}: {}", problem.severity(), problem.kind, problem.name, problem.what)
    };
    problems.iter().map(word).collect()
}

fn vpp(generation: u64, state: VppState) -> Input {
    let info = maglev_protocol::VppInfo { generation, state };
    Input::Agent(AgentEvent::Vpp { info, programmed: None })
}

/// A core whose agent is connected, and with it VPP.
fn connected() -> Core {
    let mut core = core();
    core.handle(Input::Agent(agent_connects()), at(2000));
    core.handle(vpp(1, VppState::sample(7, Some(100))), at(2000));
    core
}

#[test]
fn path_to_vpp_is_told_up_to_the_first_party_that_is_missing() {
    let mut core = core();
    let told = problems(&mut core, None);
    assert_eq!(
        (told[0].kind.as_str(), told[0].severity(), told[0].since_unix_ms),
        ("agent", Severity::Danger, 0)
    );
    assert!(told[0].what.starts_with("not connected: not connected yet; VPP keeps"), "{}", told[0].what);
    core.handle(Input::Agent(agent_connects()), at(2000));
    let gone = VppState::Disconnected { reason: "no such file".into(), silent_ms: 0 };
    core.handle(vpp(1, gone), at(2000));
    let told = problems(&mut core, None);
    let vpp = &told[0];
    assert_eq!((vpp.kind.as_str(), vpp.what.as_str()), ("vpp", "not connected: no such file"));
    assert_eq!((vpp.since_unix_ms, vpp.remedy.is_empty()), (2_000_000, false));
    core.handle(Input::Agent(AgentEvent::Disconnected { reason: "hung up".into() }), at(2500));
    core.handle(Input::Agent(AgentEvent::Disconnected { reason: "no socket".into() }), at(2600));
    let agent = &problems(&mut core, None)[0];
    assert!(agent.what.starts_with("not connected: no socket"), "{}", agent.what);
    assert_eq!(agent.since_unix_ms, 2_500_000, "since it was lost, not since the newest try");
}

#[test]
fn frontends_that_are_down_come_before_backends_that_are_not_missed() {
    let mut core = connected();
    for backend in ["b1", "b2"] {
        probe(&mut core, backend, ProbeCode::L7Ok, "HTTP 200");
    }
    assert!(words(&problems(&mut core, None)).is_empty(), "all is well");
    for _ in 0..3 {
        probe(&mut core, "b1", ProbeCode::L4Con, "connection refused");
    }
    let one = problems(&mut core, None);
    assert_eq!(words(&one), ["Notice backend b1: down: L4CON: connection refused"]);
    assert_eq!(
        (one[0].since_unix_ms, one[0].remedy.as_str()),
        (2_000_000, "fix it; its frontends are served by their other backends")
    );
    let pause = Command::Backend { backend: "b3".into(), wish: BackendWish::Pause };
    core.command(pause, at(2100)).unwrap();
    let told = problems(&mut core, None);
    assert_eq!(
        words(&told),
        [
            "Danger frontend any: down: no backend takes new flows (b3 paused)",
            "Notice backend b1: down: L4CON: connection refused",
        ]
    );
    assert_eq!(told[0].since_unix_ms, 2_100_000);
    assert!(told[0].remedy.contains("resume"), "{}", told[0].remedy);
}

#[test]
fn refused_reload_is_told_until_another_one_is_taken() {
    let mut core = connected();
    let newest = |result| LastReload { at: SystemTime::UNIX_EPOCH + Duration::from_secs(2900), result };
    let refused = newest(Err("x.yaml:1:1: error: empty".to_owned()));
    let told = problems(&mut core, Some(&refused));
    let reload = told.iter().find(|problem| problem.kind == "configuration").unwrap();
    assert_eq!(
        reload.what,
        "reload refused, the previous configuration stays in use: x.yaml:1:1: error: empty"
    );
    assert_eq!(reload.since_unix_ms, 2_900_000);
    let taken = newest(Ok("nothing changed".to_owned()));
    assert!(problems(&mut core, Some(&taken)).iter().all(|problem| problem.kind != "configuration"));
}

/// The frontend's problem names the backends that hold it back.
#[test]
fn held_back_frontend_names_the_backends_it_waits_for() {
    let mut core = connected();
    let told = words(&problems(&mut core, None));
    assert_eq!(
        told,
        ["Notice frontend shop: held back by the warm-up until these backends are known: b1, b2"]
    );
}

#[test]
fn pool_below_its_min_up_is_told_unless_the_frontend_is_down() {
    let mut core = connected();
    for backend in ["b1", "b2"] {
        probe(&mut core, backend, ProbeCode::L7Ok, "HTTP 200");
    }
    let mut config = maglev_engine::config::Config::clone(core.config());
    for name in ["shop", "any"] {
        let pools = &mut Arc::make_mut(config.frontends.get_mut(name).unwrap()).pools;
        pools[0].min_up = Some(maglev_engine::config::MinUp::Percent(100));
    }
    core.command(Command::Reload(Arc::new(config).into()), at(2050)).unwrap();
    assert!(words(&problems(&mut core, None)).is_empty(), "all is well");
    for backend in ["b1", "b3"] {
        let pause = Command::Backend { backend: backend.into(), wish: BackendWish::Pause };
        core.command(pause, at(2100)).unwrap();
    }
    let told = problems(&mut core, None);
    let below = "Notice frontend shop: pool primary is below its min-up: 1 of 2 up, min-up 2";
    assert_eq!(words(&told), ["Danger frontend any: down: no backend takes new flows (b3 paused)", below]);
    assert_eq!(told[1].since_unix_ms, 2_100_000);
    let shop = view::frontend(&core.snapshot(at(3000).mono), "shop").unwrap();
    let pool = &shop.pools[0];
    assert_eq!((pool.up, pool.min_up, pool.below_min_up), (1, Some(2), true));
    assert!(!shop.pools[1].below_min_up && shop.pools[1].min_up.is_none());
}

/// A thousand routes would hide the reason that all of them have.
#[test]
fn routes_that_vpp_keeps_withdrawn_are_one_problem_with_it() {
    let text = "
maglev:
  announce: { hold-down: 0s }
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends: { b: { address: 10.0.0.3 } }
  frontends:
    one: { address: 203.0.113.1, pools: [ { name: only, backends: { b: {} } } ] }
    two: { address: 203.0.113.2, pools: [ { name: only, backends: { b: {} } } ] }
";
    let config = parse("test.yaml", text).unwrap().config;
    let mut core = Core::new(Arc::new(config), Overrides::default(), "/run/agent.sock".into(), at(1000));
    let routes = core.wanted_routes().routes.into_keys().map(|address| (address, Announcement::Announced));
    core.handle(
        Input::Router(RouterEvent::Read {
            version: "2.0.12".into(),
            routes: routes.collect(),
            missing: Vec::new(),
            refused: None,
            restored: Vec::new(),
        }),
        at(1500),
    );
    core.handle(Input::Agent(agent_connects()), at(2000));
    core.handle(vpp(1, VppState::Disconnected { reason: "no such file".into(), silent_ms: 0 }), at(2000));
    let told = problems(&mut core, None);
    let about_vpp: Vec<_> = told.iter().filter(|problem| problem.kind == "vpp").collect();
    assert_eq!(about_vpp[0].what, "not connected: no such file; 2 routes are withdrawn");
    assert!(!told.iter().any(|problem| problem.kind == "route"), "{told:?}");
}
