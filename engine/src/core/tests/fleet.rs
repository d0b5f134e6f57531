//! The fleet's votes on health, from the news of the other members to weights and routes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::FleetHealth;
use crate::routes::Announcement;
use crate::votes::{Backends, Others, Poll, SETTLED, View, Vote, Votes};

const FLEET: &str = "fleet: { health: fleet, vote-ttl: 10s }";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn config(fleet: &str) -> Arc<Config> {
    let text = format!(
        "
maglev:
  {fleet}
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, {AT_ONCE} }} }}
  healthchecks: {{ tcp: {{ type: tcp, port: 80, rise: 1, fall: 1 }} }}
  backends:
    a: {{ address: 10.0.0.1, healthcheck: tcp }}
    b: {{ address: 10.0.0.2, healthcheck: tcp }}
    c: {{ address: 10.0.0.3, healthcheck: tcp }}
    d: {{ address: 10.0.0.4, healthcheck: tcp }}
    fixed: {{ address: 10.0.0.5 }}
  frontends:
    www:
      address: 203.0.113.1
      announce: {{ hold-down: 20s }}
      slow-start: 10s
      flush-on-down: true
      pools: [ {{ name: only, backends: {{ a: {{}}, b: {{}}, c: {{}}, d: {{}}, fixed: {{}} }} }} ]
"
    );
    Arc::new(parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config)
}

/// All backends up here, and acknowledged by VPP.
fn bench(fleet: &str) -> Bench {
    let mut bench = Bench::with(config(fleet), Overrides::default());
    bench.vpp(&[]);
    NAMES.iter().for_each(|name| drop(bench.probe(name, true)));
    bench
}

fn listed(names: &[&str]) -> Backends {
    Backends::of(names.iter().map(|name| (*name).to_owned()).collect())
}

impl Bench {
    /// The news that the members lb2, lb3 and so on, with this configuration, see these backends down.
    fn others_see(&mut self, down: &[&[&str]]) -> Effects {
        let subject = crate::votes::subject(self.core.config());
        let votes =
            |down: &[&str]| Votes { subject: subject.clone(), down: listed(down), unknown: listed(&[]) };
        let at = self.now.mono;
        let votes = down.iter().map(|down| Vote { votes: Arc::new(votes(down)), at });
        let names = (2..).map(|number| format!("lb{number}").into());
        self.news(names.zip(votes).collect(), false)
    }

    fn news(&mut self, votes: Others, withdraw: bool) -> Effects {
        self.core.handle(Input::Fleet(FleetNews { votes, withdraw, ..FleetNews::default() }), self.now)
    }

    /// The votes of the last news are renewed.
    fn renewed(&mut self, withdraw: bool) -> Effects {
        let at = self.now.mono;
        let votes = self.core.fleet.others().clone().into_iter();
        self.news(votes.map(|(name, vote)| (name, Vote { at, ..vote })).collect(), withdraw)
    }

    /// The programmed weight of a, and whether a step to it flushes.
    fn a(&self) -> (u8, bool) {
        let server = self.core.frontends.views()["www"].spec.servers[&IpAddr::from([10, 0, 0, 1])];
        (server.weight, server.flush)
    }

    fn cast(&self) -> Option<Votes> {
        Some(self.core.snapshot(self.now.mono).votes(self.now.mono)?.0)
    }
}

fn remarks(effects: &Effects) -> Vec<String> {
    let is_of_fleet = |event: &&Event| matches!(event, Event::Overruled { .. } | Event::CutOff { .. });
    effects.events.iter().filter(is_of_fleet).map(Event::remark).collect()
}

#[test]
fn backend_that_is_down_only_here_keeps_its_weight() {
    let mut bench = bench(FLEET);
    let whole = bench.a();
    assert!(whole.0 > 0);
    bench.others_see(&[&[], &[]]);
    let effects = bench.probe("a", false);
    assert_eq!(bench.state("a"), State::Down);
    assert_eq!((bench.a(), effects.wanted), (whole, false), "VPP has nothing to do");
    assert_eq!(remarks(&effects), ["down only here; kept by the fleet's votes (1 of 3)"]);
    // It was in service all along: no slow start.
    let effects = bench.probe("a", true);
    assert_eq!((bench.a(), effects.wanted), (whole, false));
    assert_eq!(remarks(&effects), Vec::<String>::new(), "the transition says it");
    assert_eq!(bench.core.next_tick(), Some(bench.now.mono + Duration::from_millis(100)));

    // Another member sees it as well: out of service, with a flush.
    bench.probe("a", false);
    let effects = bench.others_see(&[&["a"], &[]]);
    assert_eq!((bench.a(), effects.wanted), ((0, true), true));
    assert_eq!(remarks(&effects), ["its state here counts again"]);
    // The other one is right again, and the fleet goes by it: with the slow start that every member makes.
    let effects = bench.others_see(&[&[], &[]]);
    assert!(effects.wanted && (1..whole.0).contains(&bench.a().0), "{:?}", bench.a());
    bench.seconds(5);
    bench.renewed(false);
    bench.seconds(6);
    assert_eq!(bench.a(), whole);
}

#[test]
fn backend_that_is_down_for_the_fleet_is_taken_out_although_it_is_up_here() {
    let mut bench = bench(FLEET);
    let whole = bench.a();
    let effects = bench.others_see(&[&["a", "fixed"], &["a", "fixed"]]);
    assert_eq!(remarks(&effects), ["down for the fleet: lb2, lb3"], "one without a check is always up");
    assert_eq!((bench.state("a"), bench.a()), (State::Up, (0, true)));
    assert_eq!(bench.core.frontends.views()["www"].weights.capacity[0].up, 4);
    // A renewal is no news, and prolongs it.
    bench.seconds(6);
    let effects = bench.renewed(false);
    assert!(!effects.wanted && effects.events.is_empty() && !effects.state, "{effects:?}");
    bench.seconds(9);
    assert_eq!(bench.a().0, 0);
    // Stale votes do not count: the own view decides.
    let effects = bench.seconds(1);
    assert_eq!(remarks(&effects), ["its state here counts again"]);
    bench.seconds(11);
    assert_eq!(bench.a(), whole);
}

#[test]
fn votes_go_stale_one_by_one_even_if_news_of_others_comes() {
    let mut bench = bench(FLEET);
    bench.others_see(&[&["a"], &["a"], &[]]);
    assert!(bench.a().0 > 0, "2 of 4");
    let all = bench.core.fleet.others().clone();
    bench.probe("a", false);
    assert_eq!(bench.a().0, 0, "3 of 4");
    bench.probe("a", true);
    bench.probe("b", false);
    assert!(bench.weights("www")[1] > 0, "1 of 4");
    bench.to(bench.now.mono + Duration::from_secs(10));
    // Only the first is renewed, before the tick that is due.
    let at = bench.now.mono;
    let votes = all.into_iter().map(|(name, vote)| {
        let at = if &*name == "lb2" { at } else { vote.at };
        (name, Vote { at, ..vote })
    });
    bench.news(votes.collect(), false);
    assert!(bench.weights("www")[1] > 0, "1 of 2");
    bench.seconds(10);
    assert_eq!(bench.weights("www")[1], 0, "nobody else votes");
}

#[test]
fn an_operator_s_word_goes_before_votes() {
    let mut bench = bench(FLEET);
    bench.others_see(&[&[], &[]]);
    bench.probe("a", false);
    bench.wish("a", BackendWish::Pause).unwrap();
    assert_eq!(bench.a(), (0, false));
    bench.wish("a", BackendWish::Disable).unwrap();
    assert_eq!(bench.a(), (0, true));
    bench.others_see(&[&["a"], &["a"]]);
    bench.wish("a", BackendWish::Clear).unwrap();
    assert_eq!((bench.state("a"), bench.a()), (State::Unknown, (0, true)), "down for the fleet");
}

#[test]
fn votes_do_nothing_without_the_configuration() {
    let mut bench = bench("fleet: {}");
    let whole = bench.a();
    bench.others_see(&[&["a"], &["a"]]);
    assert_eq!((bench.a(), bench.cast()), (whole, None));
    let effects = bench.command(Command::Reload(config(FLEET).into())).unwrap().0;
    bench.others_see(&[&["a"], &["a"]]);
    assert_eq!(bench.a().0, 0, "{effects:?}");
    bench.command(Command::Reload(config("fleet: { health: local }").into())).unwrap();
    bench.seconds(11);
    assert_eq!(bench.a(), whole);
}

#[test]
fn votes_are_cast_when_vpp_answers_and_failures_have_settled() {
    let mut bench = Bench::with(config(FLEET), Overrides::default());
    bench.vpp(&[]);
    bench.probe("a", true);
    assert_eq!(bench.cast(), None, "the others are not known yet");
    ["b", "c", "d"].into_iter().for_each(|name| drop(bench.probe(name, true)));
    let cast = bench.cast().unwrap();
    assert_eq!((cast.down, cast.unknown), (listed(&[]), listed(&[])));
    bench.probe("a", false);
    let cast = bench.cast().unwrap();
    assert_eq!((cast.down, cast.unknown), (listed(&[]), listed(&["a"])));
    bench.sleep(SETTLED);
    assert_eq!(bench.cast().unwrap().down, listed(&["a"]));
    // What fails while VPP is silent is no vote, whenever the silence is noticed.
    bench.probe("b", false);
    assert_eq!(bench.cast().unwrap().down, listed(&["a"]));
    bench.agent(AgentEvent::Silence { silent_for: Some(Duration::from_millis(300)) });
    bench.probe("c", false);
    assert_eq!((bench.cast(), bench.state("b")), (None, State::Up));
    bench.seconds(1);
    assert_eq!(bench.cast(), None);
    bench.agent(AgentEvent::Silence { silent_for: None });
    assert_eq!(bench.cast().unwrap().down, listed(&["a"]));
    bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!(bench.cast(), None);
}

#[test]
fn backend_that_cannot_be_probed_does_not_keep_a_member_from_voting() {
    let mut bench = Bench::with(config(FLEET), Overrides::default());
    bench.vpp(&[]);
    ["a", "b", "c"].into_iter().for_each(|name| drop(bench.probe(name, true)));
    assert_eq!(bench.cast(), None);
    bench.seconds(10);
    assert_eq!(bench.cast().unwrap().unknown, listed(&["d"]));
}

#[test]
fn routes_of_a_member_that_is_cut_off_are_withdrawn_and_return_by_themselves() {
    let mut bench = bench(FLEET);
    let address = IpAddr::from([203, 0, 113, 1]);
    let event = RouterEvent::Read {
        version: "BIRD".into(),
        routes: [(address, Announcement::Announced)].into(),
        missing: Vec::new(),
        refused: None,
        restored: Vec::new(),
    };
    let specs = vec![Arc::clone(&bench.core.frontends.views()["www"].spec)];
    let result = Ok(Arc::new(SyncReport::default()));
    bench.agent(AgentEvent::Synced { specs, demanded: None, result });
    bench.core.handle(Input::Router(event), bench.now);
    let route = |bench: &Bench| {
        let view = &bench.core.routes.views()[&address];
        (view.route.announcement.unwrap(), view.route.reason.word())
    };
    assert_eq!(route(&bench), (Announcement::Announced, "serving"));

    bench.others_see(&[&[], &[]]);
    let mut effects = Effects::default();
    for name in ["a", "b"] {
        effects.merge(bench.probe(name, false));
    }
    effects.merge(bench.seconds(1));
    assert!(bench.core.fleet_view().cut_off.is_none(), "half of them is not most");
    effects = bench.probe("c", false);
    effects.merge(bench.seconds(1));
    let words = [
        "down only here; kept by the fleet's votes (1 of 3)",
        "cut off: most backends are unreachable only from this load balancer",
    ];
    assert_eq!(remarks(&effects), words);
    assert!(bench.core.fleet_view().cut_off.is_some());
    assert_eq!(route(&bench), (Announcement::Announced, "serving"), "that is the fleet's decision");
    let effects = bench.renewed(true);
    assert!(effects.routes);
    assert_eq!(route(&bench), (Announcement::Withdrawn, "cut_off"));

    bench.probe("a", true);
    bench.probe("b", true);
    bench.seconds(1);
    assert!(bench.core.fleet_view().cut_off.is_none());
    bench.renewed(false);
    assert_eq!(route(&bench), (Announcement::Withdrawn, "hold_down"));
    bench.seconds(9);
    bench.renewed(false);
    bench.seconds(9);
    bench.renewed(false);
    bench.seconds(1);
    assert_eq!(route(&bench), (Announcement::Announced, "serving"));
}

#[test]
fn new_vip_gets_the_fleet_s_table_length_and_an_existing_one_keeps_its_own() {
    let lengths = |bench: &Bench, length| {
        let lengths = Arc::new([(bench.key("www"), length)].into());
        Input::Fleet(FleetNews { lengths, ..FleetNews::default() })
    };
    let found = |bench: &Bench| {
        let view = &bench.core.frontends.views()["www"];
        (view.spec.new_flows_table_length, view.table.scale.table_length())
    };
    let mut bench = bench("fleet: {}");
    let chosen = found(&bench).0;
    assert_ne!(chosen, 8192);
    let news = lengths(&bench, 8192);
    assert!(bench.core.handle(news, bench.now).wanted);
    assert_eq!(found(&bench), (8192, 8192));
    let vip = bench.key("www");
    bench.vpp(&[(vip, 4096, &[(1, 10)])]);
    assert_eq!(found(&bench), (8192, 4096), "VPP keeps what it has");
    // Weights that would need another length do not change it; the configuration does.
    let text = |length: &str| {
        let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  backends: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }
  frontends:
    www: { address: 203.0.113.1, LENGTH pools: [ { name: only, backends: { a: { weight: 99 }, b: { weight: 100 } } } ] }
";
        Arc::new(parse("test.yaml", &text.replace("LENGTH", length)).unwrap().config)
    };
    bench.command(Command::Reload(text("").into())).unwrap();
    assert_eq!(found(&bench), (8192, 4096));
    bench.command(Command::Reload(text("new-flows-table-length: 2048,").into())).unwrap();
    assert_eq!(found(&bench), (2048, 4096));
    bench.command(Command::Reload(text("").into())).unwrap();
    let none = Input::Fleet(FleetNews::default());
    bench.core.handle(none, bench.now);
    assert_ne!(found(&bench).0, 8192);
}

/// Something that happens to one of the backends, or to the votes of one of the members.
#[derive(Debug, Clone)]
enum Step {
    Probe(usize, bool),
    Pause(usize),
    Resume(usize),
    Votes(usize, Vec<View>),
    Sleep(u64),
    Silence,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let view = prop::sample::select(vec![View::Up, View::Down, View::Unknown]);
    let step = prop_oneof![
        6 => (0..4_usize, any::<bool>()).prop_map(|(backend, passed)| Step::Probe(backend, passed)),
        1 => (0..4_usize).prop_map(Step::Pause),
        1 => (0..4_usize).prop_map(Step::Resume),
        4 => (0..3_usize, vec(view, 4)).prop_map(|(member, views)| Step::Votes(member, views)),
        3 => (0..7000_u64).prop_map(Step::Sleep),
        1 => Just(Step::Silence),
    ];
    vec(step, 1..60)
}

proptest! {
    /// Whatever happened before, weights follow from the own states and the votes that are fresh now.
    #[test]
    fn weights_follow_from_states_and_fresh_votes(steps in steps(), down_votes in prop::option::of(1..4_u32)) {
        let more = down_votes.map_or_else(String::new, |votes| format!(", down-votes: {votes}"));
        let mut bench = bench(&format!("fleet: {{ health: fleet, vote-ttl: 10s{more} }}"));
        let subject = crate::votes::subject(bench.core.config());
        let rule = FleetHealth { is_fleet: true, down_votes, vote_ttl: Duration::from_secs(10) };
        let mut votes = Others::new();
        for step in steps {
            match step {
                Step::Probe(backend, passed) => drop(bench.probe(NAMES[backend], passed)),
                Step::Pause(backend) => drop(bench.wish(NAMES[backend], BackendWish::Pause)),
                Step::Resume(backend) => drop(bench.wish(NAMES[backend], BackendWish::Resume)),
                Step::Votes(member, views) => {
                    let of = |wanted| {
                        let names = NAMES.iter().zip(&views).filter(|(_, view)| **view == wanted);
                        Backends::of(names.map(|(name, _)| (*name).to_owned()).collect())
                    };
                    let cast = Votes { subject: subject.clone(), down: of(View::Down), unknown: of(View::Unknown) };
                    let vote = Vote { votes: Arc::new(cast), at: bench.now.mono };
                    votes.insert(format!("lb{member}").into(), vote);
                    bench.news(votes.clone(), false);
                }
                Step::Sleep(ms) => drop(bench.sleep(Duration::from_millis(ms))),
                Step::Silence => {
                    bench.agent(AgentEvent::Silence { silent_for: Some(Duration::from_millis(300)) });
                    bench.agent(AgentEvent::Silence { silent_for: None });
                }
            }
            let poll = Poll::new(&votes, &subject, &rule, bench.now.mono);
            let weights = bench.weights("www");
            for (name, weight) in NAMES.iter().zip(weights) {
                let own = bench.state(name);
                let overruled = poll.verdict(name, View::of(own)).1.map(|overruled| overruled.counts_as);
                let serves = match own {
                    State::Up => overruled != Some(State::Down),
                    State::Down => overruled == Some(State::Up),
                    _ => false,
                };
                prop_assert_eq!(weight > 0, serves, "{} is {} and counts as {:?}", name, own, overruled);
            }
        }
    }
}
