//! Several checks, the servers' own word, flap damping and the guard.

use super::*;
use crate::outcome::Share;

/// A configuration with these lines of `healthchecker`, backends `n1` to `n{count}` with one check each, and `m` with two.
fn with(healthchecker: &str, count: u8) -> Bench {
    use std::fmt::Write;

    let mut backends = "    m: { address: 10.0.1.1, healthcheck: [tcp, web], require: all }\n".to_owned();
    let mut members = "m: {}".to_owned();
    for number in 1..=count {
        writeln!(backends, "    n{number}: {{ address: 10.0.0.{number}, healthcheck: tcp }}").unwrap();
        write!(members, ", n{number}: {{}}").unwrap();
    }
    let text = format!(
        "
maglev:
  healthchecker: {{ {healthchecker} }}
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, {AT_ONCE} }} }}
  healthchecks:
    tcp: {{ type: tcp, port: 80, rise: 1, fall: 1 }}
    web: {{ type: http, rise: 1, fall: 1, params: {{ drain-code: [404, 503], agent-header: X-Weight }} }}
  backends:
{backends}  frontends:
    f: {{ address: 203.0.113.1, pools: [ {{ name: only, backends: {{ {members} }} }} ] }}
"
    );
    let config = parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    let mut bench = Bench::with(Arc::new(config), Overrides::default());
    bench.vpp(&[]);
    for number in 1..=count {
        bench.probe(&format!("n{number}"), true);
    }
    bench
}

fn words(effects: &Effects) -> Vec<String> {
    let told = effects.events.iter().filter_map(|event| match event {
        Event::Backend { backend, transition } => {
            Some(format!("{backend} {} -> {}: {}", transition.from, transition.to, transition.cause))
        }
        Event::Damped { backend, .. } | Event::Asked { backend, .. } => {
            Some(format!("{backend}: {}", event.remark()))
        }
        Event::Guard { .. } => Some(event.remark()),
        _ => None,
    });
    told.collect()
}

impl Bench {
    /// A result of one of the checks of `m`.
    fn checked(&mut self, check: usize, code: ProbeCode, asked: Option<u8>) -> Vec<String> {
        let (late, ended, backend) = (Duration::ZERO, self.now.mono, "m".into());
        let asked = asked.map(|percent| Share::of(percent).unwrap());
        let outcome = ProbeOutcome { code, detail: "test".into(), duration: Duration::ZERO, asked };
        let report = Report { backend, check, outcome, late, ended };
        words(&self.core.handle(Input::Probe(report), self.now))
    }

    fn weight_of_m(&self) -> (u8, bool) {
        let server = self.core.frontends.views()["f"].spec.servers[&IpAddr::from([10, 0, 1, 1])];
        (server.weight, server.flush)
    }
}

#[test]
fn each_check_has_its_own_prober_and_pace() {
    let bench = with("", 1);
    let all: Vec<_> =
        bench.core.checked_backends().map(|(name, check)| (&**name, check.index, check.check)).collect();
    assert_eq!(all, [("m", 0, "tcp"), ("m", 1, "web"), ("n1", 0, "tcp")]);
    let paces: Vec<_> = bench.core.checks("m").map(|check| check.pace).collect();
    assert_eq!(paces, [Pace::Fast; 2]);
}

#[test]
fn events_name_the_check_that_decided() {
    let mut bench = with("", 0);
    assert!(bench.checked(0, ProbeCode::L4Ok, None).is_empty());
    assert_eq!(bench.checked(1, ProbeCode::L7Ok, None), ["m unknown -> up: web: L7OK: test"]);
    assert_eq!(bench.checked(0, ProbeCode::L4Con, None), ["m up -> down: tcp: L4CON: test"]);
    let view = &bench.core.backends.views()["m"];
    assert_eq!(view.last_probe().unwrap().outcome.code, ProbeCode::L4Con, "of the check that is worst off");
    bench.checked(5, ProbeCode::L4Con, None);
}

#[test]
fn a_server_that_drains_gets_no_new_flows_and_keeps_its_own() {
    let mut bench = with("", 1);
    bench.checked(0, ProbeCode::L4Ok, None);
    bench.checked(1, ProbeCode::L7Ok, Some(100));
    let whole = bench.weight_of_m().0;
    assert!(whole >= 10, "there are steps for shares: {whole}");
    assert_eq!(
        bench.checked(1, ProbeCode::L7Okc, Some(0)),
        ["m: its server drains: it asks for no new flows"]
    );
    assert_eq!((bench.weight_of_m(), bench.state("m")), ((0, false), State::Up));
    assert!(bench.checked(1, ProbeCode::L7Ok, Some(40)).is_empty(), "too soon");
    assert!(bench.checked(1, ProbeCode::L7Ok, None).is_empty(), "an unclear answer changes nothing");
    assert_eq!(words(&bench.seconds(10)), ["m: its server asks for 40% of its weight"]);
    assert_eq!(bench.weight_of_m().0, whole * 4 / 10);
    assert_eq!(
        bench.checked(0, ProbeCode::L4Con, None),
        ["m up -> down: tcp: L4CON: test"],
        "down goes first"
    );
    assert_eq!(bench.weight_of_m(), (0, true));
    bench.seconds(20);
    assert_eq!(
        bench.checked(0, ProbeCode::L4Ok, None),
        ["m down -> up: tcp: L4OK: test"],
        "its word of before holds"
    );
    assert_eq!(bench.weight_of_m().0, whole * 4 / 10);
    assert_eq!(bench.checked(1, ProbeCode::L7Ok, Some(100)), ["m: its server takes its whole weight again"]);
    assert_eq!(bench.weight_of_m().0, whole);
}

#[test]
fn a_pool_of_servers_that_drain_is_no_active_one() {
    let mut bench = with("", 0);
    bench.checked(0, ProbeCode::L4Ok, None);
    bench.checked(1, ProbeCode::L7Okc, Some(0));
    let view = &bench.core.frontends.views()["f"];
    assert_eq!(
        (bench.state("m"), view.weights.active_pool, view.weights.capacity[0].up),
        (State::Up, None, 0)
    );
    assert!(bench.core.next_tick().is_none());
}

#[test]
fn a_backend_that_flaps_is_held_down() {
    let mut bench = with("damping: { half-life: 60s, suppress: 2500, reuse: 1000, max-suppress: 10m }", 1);
    for _ in 0..2 {
        assert_eq!(words(&bench.probe("n1", false)), ["n1 up -> down: L4CON: test"]);
        assert_eq!(words(&bench.probe("n1", true)), ["n1 down -> up: L4OK: test"]);
    }
    let told = words(&bench.probe("n1", false));
    assert_eq!(told.len(), 2);
    assert!(
        told[1].starts_with("n1: damped: it went down too often, and stays down for at least 1m"),
        "{told:?}"
    );
    assert!(words(&bench.probe("n1", true)).is_empty());
    assert!(words(&bench.seconds(90)).is_empty());
    assert_eq!(bench.state("n1"), State::Down);
    assert_eq!(words(&bench.seconds(10)), ["n1 down -> up: no longer damped"]);
    assert!(bench.core.next_tick().is_none());
}

#[test]
fn an_operator_ends_the_damping() {
    let mut bench = with("damping: {}", 1);
    for passed in [false, true, false, true, false, true] {
        bench.probe("n1", passed);
    }
    assert_eq!(bench.state("n1"), State::Down);
    bench.wish("n1", BackendWish::Pause).unwrap();
    bench.wish("n1", BackendWish::Resume).unwrap();
    bench.probe("n1", true);
    assert_eq!(bench.state("n1"), State::Up);
    bench.seconds(700);
}

#[test]
fn falls_while_held_down_prolong_it() {
    let mut bench = with("damping: {}", 1);
    for passed in [false, true, false, true, false, true] {
        bench.probe("n1", passed);
    }
    bench.seconds(60);
    bench.probe("n1", false);
    bench.probe("n1", true);
    // 35 s were left, and are 79 s now.
    assert!(words(&bench.seconds(75)).is_empty());
    assert_eq!(words(&bench.seconds(10)), ["n1 down -> up: no longer damped"]);
}

#[test]
fn many_falls_at_once_are_told_and_take_turns() {
    let mut bench = with("guard: { more-than: 30%, per-second: 2 }", 9);
    let mut told = Vec::new();
    for number in 1..=6 {
        told.extend(words(&bench.probe(&format!("n{number}"), false)));
    }
    assert_eq!(
        told,
        [
            "n1 up -> down: L4CON: test",
            "n2 up -> down: L4CON: test",
            "4 of 10 backends went down within one second: the cause is probably here, not there",
        ]
    );
    assert_eq!((bench.core.steady.view().waiting, bench.core.tally.guard_trips.get()), (4, 1));
    bench.probe("n3", true);
    assert_eq!(words(&bench.seconds(1)), ["n4 up -> down: L4CON: test", "n5 up -> down: L4CON: test"]);
    assert_eq!(words(&bench.seconds(1)), ["n6 up -> down: L4CON: test"], "n3 has recovered");
    assert_eq!(bench.state("n3"), State::Up);
    assert!(bench.core.next_tick().is_none());
}

#[test]
fn a_reload_without_the_guard_lets_all_fall() {
    let mut bench = with("guard: { per-second: 1 }", 4);
    for number in 1..=4 {
        bench.probe(&format!("n{number}"), false);
    }
    let config = with("", 4).core.config;
    bench.command(Command::Reload(config.into())).unwrap();
    bench.seconds(0);
    assert!((1..=4).all(|number| bench.state(&format!("n{number}")) == State::Down));
}

#[test]
fn failures_that_wait_while_vpp_is_silent_are_ignored() {
    let mut bench = with("guard: { per-second: 1 }", 3);
    for number in 1..=3 {
        bench.probe(&format!("n{number}"), false);
    }
    bench.vpp_leaves(Duration::from_secs(1));
    bench.seconds(5);
    assert!((1..=3).all(|number| bench.state(&format!("n{number}")) == State::Up));
}

#[test]
fn a_reload_keeps_the_results_of_checks_that_stay() {
    let mut bench = with("", 1);
    bench.checked(0, ProbeCode::L4Ok, None);
    bench.checked(1, ProbeCode::L7Sts, None);
    assert_eq!(bench.state("m"), State::Down);
    let mut config = Config::clone(bench.core.config());
    config.backends.get_mut("m").unwrap().healthchecks = vec!["tcp".to_owned()];
    let (effects, _) = bench.command(Command::Reload(Arc::new(config.clone()).into())).unwrap();
    assert_eq!(words(&effects), ["m down -> up: its health checks changed"]);
    assert!(effects.probers.contains("m"));
    assert!(bench.core.backends.views()["m"].last_probe().is_some());
    config.backends.get_mut("m").unwrap().healthchecks = vec!["web".to_owned(), "tcp".to_owned()];
    let (effects, _) = bench.command(Command::Reload(Arc::new(config).into())).unwrap();
    assert!(words(&effects).is_empty(), "until the new one has a result");
    assert_eq!(bench.state("m"), State::Up);
    bench.seconds(1);
    assert_eq!(bench.checked(0, ProbeCode::L7Sts, None), ["m up -> down: web: L7STS: test"]);
}
