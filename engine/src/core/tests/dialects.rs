use super::*;

const UNEQUAL: &str = "
    www:
      address: 203.0.113.1
      slow-start: 10s
      pools: [ { name: only, backends: { a: { weight: 100 }, b: { weight: 50 }, c: { weight: 0 } } } ]
";

fn connected(dialect: Dialect) -> Bench {
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, UNEQUAL), Overrides::default());
    bench.all_up();
    bench.vpp_of(dialect, &[]);
    bench.seconds(60);
    bench
}

fn set(bench: &mut Bench, backend: &str, weight: u8, flush: bool) -> Result<(), CommandError> {
    let member = PoolMember { frontend: "www".into(), pool: "only".into(), backend: backend.into() };
    bench.command(Command::SetWeight { member, weight, flush }).map(drop)
}

#[test]
fn without_weights_shares_are_equal_and_that_is_said() {
    let bench = connected(Dialect::InOut);
    assert_eq!(bench.weights("www"), [1, 1, 0]);
    let table = &bench.core.frontends.views()["www"].table;
    let said = table.inexpressible.clone().unwrap();
    assert!(said.starts_with("this VPP cannot express 100:50; shares are equal, up to "), "{said}");
    assert!(said.contains("; this VPP cannot express a slow start; "), "{said}");
    let bench = connected(Dialect::Weighted);
    assert!(bench.weights("www")[0] > 1);
    assert_eq!(bench.core.frontends.views()["www"].table.inexpressible, None);
}

#[test]
fn what_cannot_be_expressed_is_refused_and_everything_else_works() {
    let mut bench = connected(Dialect::InOut);
    let refused = set(&mut bench, "a", 70, false).unwrap_err();
    assert_eq!(refused, CommandError::NoWeights { weight: 70, configured: 100 });
    assert_eq!(set(&mut bench, "a", 100, true), Err(CommandError::NoFlush));
    assert!(bench.core.overrides().weights.is_empty());
    set(&mut bench, "a", 0, true).unwrap();
    assert_eq!(bench.weights("www"), [0, 1, 0]);
    set(&mut bench, "a", 100, false).unwrap();
    bench.wish("b", BackendWish::Pause).unwrap();
    assert_eq!(bench.weights("www"), [1, 0, 0]);
    bench.wish("b", BackendWish::Resume).unwrap();
    bench.probe("b", true);
    assert_eq!(bench.weights("www"), [1, 1, 0], "without a slow start");
    bench.probe("a", false);
    bench.probe("a", false);
    assert_eq!(bench.weights("www"), [0, 1, 0]);
}

#[test]
fn another_vpp_gets_what_it_can_do_with_the_first_decision_on_it() {
    let mut bench = connected(Dialect::InOut);
    bench.vpp_leaves(Duration::ZERO);
    assert_eq!(bench.weights("www"), [1, 1, 0]);
    bench.vpp_of(Dialect::Weighted, &[]);
    bench.seconds(60);
    let weights = bench.weights("www");
    assert_eq!((weights[0], weights[2]), (2 * weights[1], 0));
    set(&mut bench, "a", 70, false).unwrap();
    bench.vpp_of(Dialect::InOut, &[]);
    assert_eq!(bench.weights("www"), [1, 1, 0], "an earlier override is in");
}

#[test]
fn a_configuration_may_be_meant_for_a_vpp_without_weights() {
    let delays = format!("{AT_ONCE}, vpp-lb-api: 1.1");
    let frontends = UNEQUAL.replace("      slow-start: 10s\n", "");
    let mut bench = Bench::with(configuration(&delays, BACKENDS, &frontends), Overrides::default());
    bench.all_up();
    assert_eq!(bench.weights("www"), [1, 1, 0]);
    bench.vpp_of(Dialect::Weighted, &[]);
    assert_eq!(bench.weights("www"), [2, 1, 0], "VPP itself decides");
}
