//! Routes of the VIPs' addresses, from the inputs to the router's desired state.

use super::*;
use crate::overrides::Remark;
use crate::routes::{Announcement, Drain};

use Announcement::{Announced, Deprioritised, Withdrawn};

const ANNOUNCED: &str = "
    one:
      address: 203.0.113.1
      protocol: tcp
      port: 80
      announce: { min-up: 2 }
      pools: [ { name: only, backends: { a: {}, b: {} } } ]
    two: { address: 203.0.113.2, announce: {}, pools: [ { name: only, backends: { c: {} } } ] }
    three: { address: 203.0.113.3, pools: [ { name: only, backends: { fixed: {} } } ] }
";

const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

impl Bench {
    fn announcing(delays: &str) -> Self {
        Self::with(configuration(delays, BACKENDS, ANNOUNCED), Overrides::default())
    }

    /// The router has these routes.
    fn router(&mut self, one: Announcement, two: Announcement) -> Effects {
        let routes = [(ONE, one), (TWO, two)].into();
        let event = RouterEvent::Read {
            version: "BIRD".into(),
            routes,
            missing: Vec::new(),
            refused: None,
            restored: Vec::new(),
        };
        self.core.handle(Input::Router(event), self.now)
    }

    /// VPP acknowledges a frontend as it is desired now.
    fn acknowledge(&mut self, frontend: &str) -> Effects {
        let specs = vec![Arc::clone(&self.core.frontends.views()[frontend].spec)];
        let result = Ok(Arc::new(SyncReport::default()));
        self.agent(AgentEvent::Synced { specs, demanded: None, result })
    }

    fn routes(&self) -> [Option<Announcement>; 2] {
        let wanted = self.core.wanted_routes().routes;
        assert_eq!(wanted.len(), 2, "frontend three is not announced");
        [wanted[&ONE], wanted[&TWO]]
    }

    fn reason(&self, address: IpAddr) -> &'static str {
        self.core.routes.views()[&address].route.reason.word()
    }

    /// Everything is up, acknowledged and announced.
    fn announced() -> Self {
        let mut bench = Self::announcing(AT_ONCE);
        bench.vpp(&[]);
        bench.router(Withdrawn, Withdrawn);
        bench.all_up();
        ["one", "two"].into_iter().for_each(|name| drop(bench.acknowledge(name)));
        bench.seconds(10);
        assert_eq!(bench.routes(), [Some(Announced); 2]);
        bench
    }
}

#[test]
fn a_route_is_announced_once_vpp_has_it_and_the_hold_down_is_over() {
    let mut bench = Bench::announcing(AT_ONCE);
    assert_eq!(bench.routes(), [None; 2], "before the router was read");
    bench.router(Withdrawn, Withdrawn);
    bench.seconds(20);
    assert_eq!((bench.routes(), bench.reason(ONE)), ([Some(Withdrawn); 2], "unwatched"));
    bench.vpp(&[]);
    assert_eq!(bench.reason(ONE), "unknown");
    bench.all_up();
    assert_eq!(bench.reason(ONE), "not_in_vpp");
    let effects = bench.acknowledge("one");
    assert!(effects.routes && effects.state);
    assert!(matches!(&effects.events[..], [Event::Route { address: ONE, from: Some(Withdrawn), .. }]));
    assert_eq!(bench.routes(), [Some(Announced), Some(Withdrawn)]);
}

#[test]
fn a_starting_brain_leaves_routes_as_they_are() {
    let mut bench = Bench::announcing(WARMUP);
    let two = bench.key("two");
    let one = bench.key("one");
    bench.router(Announced, Announced);
    bench.vpp(&[(one, 1024, &[(1, 1), (2, 1)])]);
    assert_eq!(bench.routes(), [Some(Announced), Some(Withdrawn)], "VPP has no VIP of the second");
    bench.seconds(4);
    assert_eq!(bench.reason(ONE), "serving");
    bench.probe("a", true);
    bench.probe("b", true);
    bench.seconds(30);
    assert_eq!(bench.routes(), [Some(Announced), Some(Withdrawn)]);
    assert_ne!(one, two);
}

#[test]
fn routes_of_other_addresses_are_left_until_the_warm_up_allows_writing() {
    let mut bench = Bench::announcing(WARMUP);
    bench.router(Withdrawn, Withdrawn);
    assert!(!bench.core.wanted_routes().others);
    let mut told = false;
    for _ in 0..60 {
        let before = bench.core.wanted_routes().others;
        bench.now.mono += Duration::from_millis(500);
        bench.now.wall += Duration::from_millis(500);
        let effects = bench.core.handle(Input::Tick, bench.now);
        told |= bench.core.wanted_routes().others != before && effects.routes;
    }
    assert!(told && bench.core.wanted_routes().others);
}

#[test]
fn too_few_backends_withdraw_a_route_and_it_comes_back_after_the_hold_down() {
    let mut bench = Bench::announced();
    bench.probe("a", false);
    let effects = bench.probe("a", false);
    assert!(effects.routes);
    assert_eq!((bench.routes(), bench.reason(ONE)), ([Some(Withdrawn), Some(Announced)], "too_few"));
    bench.probe("a", true);
    bench.acknowledge("one");
    assert_eq!(bench.reason(ONE), "hold_down");
    bench.seconds(9);
    assert_eq!(bench.routes(), [Some(Withdrawn), Some(Announced)]);
    bench.seconds(1);
    assert_eq!(bench.routes(), [Some(Announced); 2]);
}

#[test]
fn the_last_routes_are_kept_when_no_backend_is_up() {
    let mut bench = Bench::announced();
    for backend in ["a", "b", "c"] {
        bench.probe(backend, false);
    }
    bench.probe("a", false);
    bench.probe("b", false);
    bench.probe("c", false);
    // The first address was withdrawn while another backend was still up.
    assert_eq!(bench.routes(), [Some(Withdrawn), Some(Announced)]);
    assert_eq!(bench.reason(TWO), "kept");
    // A backend that is up proves that the checks work.
    bench.probe("a", true);
    assert_eq!((bench.routes()[1], bench.reason(TWO)), (Some(Withdrawn), "too_few"));
}

#[test]
fn vpp_takes_its_routes_with_it_and_the_agent_does_not() {
    let mut bench = Bench::announced();
    bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!((bench.routes(), bench.reason(ONE)), ([Some(Announced); 2], "unwatched"));
    let (one, two) = (bench.key("one"), bench.key("two"));
    bench.vpp(&[(one, 1024, &[(1, 1), (2, 1)]), (two, 1024, &[(3, 1)])]);
    assert_eq!((bench.routes(), bench.reason(ONE)), ([Some(Announced); 2], "serving"));
    bench.vpp_leaves(Duration::ZERO);
    assert_eq!((bench.routes(), bench.reason(ONE)), ([Some(Withdrawn); 2], "vpp_away"));
    bench.vpp(&[]);
    bench.seconds(60);
    assert_eq!(bench.reason(ONE), "not_in_vpp");
    ["one", "two"].into_iter().for_each(|name| drop(bench.acknowledge(name)));
    assert_eq!(bench.routes(), [Some(Announced); 2]);
}

#[test]
fn an_operator_drains_all_routes_and_takes_them_back() {
    let mut bench = Bench::announced();
    let refused = bench.command(Command::DrainLb(None)).unwrap_err();
    assert_eq!(refused.to_string(), "there is no override for the load balancer");
    let (effects, _) = bench.command(Command::DrainLb(Some(Drain::Gshut))).unwrap();
    assert!(effects.overrides && effects.routes);
    assert_eq!(bench.routes(), [Some(Deprioritised); 2]);
    bench.command(Command::DrainLb(Some(Drain::Withdraw))).unwrap();
    assert_eq!((bench.routes(), bench.reason(TWO)), ([Some(Withdrawn); 2], "drained"));
    let overrides = (**bench.core.overrides()).clone();
    bench.command(Command::DrainLb(None)).unwrap();
    assert_eq!(bench.routes(), [Some(Announced); 2]);

    // It survives a restart.
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, ANNOUNCED), overrides);
    bench.router(Announced, Announced);
    assert_eq!((bench.routes(), bench.reason(TWO)), ([Some(Withdrawn); 2], "drained"));

    let mut plain = Bench::connected();
    assert_eq!(plain.command(Command::DrainLb(Some(Drain::Gshut))).unwrap_err(), CommandError::NoRoutes);
}

#[test]
fn a_drain_ends_by_itself_at_its_time() {
    let mut bench = Bench::announced();
    let until = Some(bench.now.wall + Duration::from_secs(600));
    let remark = Remark { until, ..Remark::default() };
    bench.core.command_on(None, Command::DrainLb(Some(Drain::Withdraw)), remark, bench.now).unwrap();
    bench.seconds(599);
    assert_eq!(bench.routes(), [Some(Withdrawn); 2]);
    bench.seconds(2);
    assert_eq!(bench.routes(), [Some(Announced); 2]);
}

#[test]
fn a_reload_keeps_the_routes_that_are_in_both() {
    let mut bench = Bench::announced();
    // The second port is not in VPP yet, and its backend is unknown.
    let more = ANNOUNCED.replace(
        "    two:",
        "    tls:
      address: 203.0.113.1
      protocol: tcp
      port: 443
      announce: {}
      pools: [ { name: only, backends: { d: {} } } ]
    two:",
    );
    let backends = format!("{BACKENDS}    d: {{ address: 10.0.0.9, healthcheck: tcp }}\n");
    bench.command(Command::Reload(configuration(AT_ONCE, &backends, &more).into())).unwrap();
    assert_eq!(bench.routes(), [Some(Announced); 2]);
    assert_eq!(bench.core.routes.views()[&ONE].frontends.len(), 2);
    let fewer = ANNOUNCED.replace("announce: {}, ", "");
    bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, &fewer).into())).unwrap();
    let wanted = bench.core.wanted_routes();
    assert_eq!(wanted.routes, [(ONE, Some(Announced))].into());
    assert!(wanted.others, "the other route is to go");
}

#[test]
fn restored_routes_are_told_each_time() {
    let mut bench = Bench::announced();
    for _ in 0..2 {
        let event = RouterEvent::Read {
            version: "BIRD".into(),
            routes: [(ONE, Announced), (TWO, Announced)].into(),
            missing: Vec::new(),
            refused: None,
            restored: vec![ONE],
        };
        let effects = bench.core.handle(Input::Router(event), bench.now);
        assert!(matches!(&effects.events[..], [Event::Router { status }] if status.restored == [ONE]));
    }
    assert_eq!(bench.router(Announced, Announced).events, []);
}

#[test]
fn a_router_that_is_lost_is_told_once() {
    let mut bench = Bench::announced();
    let lost = || Input::Router(RouterEvent::Lost { reason: "no answer within 5 s".into() });
    let effects = bench.core.handle(lost(), bench.now);
    assert!(matches!(&effects.events[..], [Event::Router { status }] if status.connection.is_err()));
    assert_eq!(bench.core.handle(lost(), bench.now).events, []);
    assert_eq!(bench.routes(), [Some(Announced); 2]);
    let effects = bench.router(Withdrawn, Withdrawn);
    assert!(matches!(&effects.events[..], [Event::Router { .. }]));
    assert_eq!(bench.routes(), [Some(Announced); 2], "it is not adopted twice");
}
