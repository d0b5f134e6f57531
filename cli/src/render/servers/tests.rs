use maglev_proto::{BackendState, ListBackendsResponse, ListFrontendsResponse, ListOverridesResponse};

use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};
use maglev_proto::client::ServerAddress;

const DOCUMENTATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maglevc.md"));

fn reply(server: &str, answer: Answer) -> Reply {
    Reply { server: server.parse().unwrap(), answer: Ok(answer) }
}

fn away(server: &str) -> Reply {
    let server: ServerAddress = server.parse().unwrap();
    let answer =
        Err(Error::ConnectTimeout { server: server.clone(), timeout: std::time::Duration::from_secs(5) });
    Reply { server, answer }
}

fn shown(replies: &[Reply]) -> String {
    text(replies, Moment(NOW), PLAIN).unwrap()
}

/// The second server reports one backend differently and lacks another; all ages differ.
fn other_backends() -> Vec<Backend> {
    let mut backends = samples::backends();
    backends.pop();
    for backend in &mut backends {
        for transition in &mut backend.transitions {
            transition.at_unix_ms -= 60_000;
        }
    }
    backends[3].set_state(BackendState::Up);
    backends
}

#[test]
fn list_is_one_table_with_what_differs() {
    let backends = |backends| Answer::Backends(ListBackendsResponse { backends });
    let replies = [
        reply("lb1:17090", backends(samples::backends())),
        reply("lb2:17090", backends(other_backends())),
        away("lb3:17090"),
    ];
    let text = super::text(&replies, Moment(NOW), PLAIN.within(Some(80))).unwrap();
    assert_eq!(
        text,
        "\
Server     Name   State     Since  Flows  Check   Detail        Differs
all        res1   unknown       -      0  -       not probed
all        sorry  up         5d3h      0  static  -
all        web1   up        2h14m   1204  L7OK    HTTP 200
lb1:17090  web2   down        45s     17  L4CON   connectio...  state
lb2:17090  web2   up        1m45s     17  L4CON   connectio...  state
lb1:17090  web4   disabled      -      0  -       not probed    missing on lb...
lb3:17090: no connection to lb3:17090 within 5s
"
    );
    assert!(DOCUMENTATION.contains(&text), "docs/maglevc.md lacks:\n{text}");
}

#[test]
fn those_that_say_the_same_share_a_line() {
    let frontends = |frontends| {
        Answer::Frontends(ListFrontendsResponse { frontends, ..ListFrontendsResponse::default() })
    };
    let mut other = samples::frontends();
    other.drain(..3);
    other[0].active_pool = "fallback".into();
    let replies = [
        reply("lb1:17090", frontends(samples::frontends().split_off(3))),
        reply("lb2:17090", frontends(other)),
        reply("lb3:17090", frontends(samples::frontends().split_off(3))),
    ];
    let expected = "\
Server                Name  State  In VPP  VIP           Service  Active pool  Pool up  Differs
lb1:17090, lb3:17090  shop  up     yes     203.0.113.10  tcp/443  primary          2/3  active_pool
lb2:17090             shop  up     yes     203.0.113.10  tcp/443  fallback         1/1  active_pool
";
    assert_eq!(shown(&replies), expected);
}

#[test]
fn problems_of_each_server_come_first() {
    let frontends = |problems| Answer::Frontends(ListFrontendsResponse { frontends: vec![], problems });
    let problems = samples::problems();
    let (first, others) = (problems[0].what.clone(), problems.len() - NAMED);
    let replies = [reply("lb1:17090", frontends(vec![])), reply("lb2:17090", frontends(problems))];
    let text = super::text(&replies, Moment(NOW), PLAIN).unwrap();
    assert!(text.starts_with("lb2:17090:\n"), "{text}");
    assert!(text.contains(&first) && text.contains(&format!("{others} problem")), "{text}");
}

#[test]
fn counters_are_each_servers_own() {
    let mut other = samples::vpp_lb_counters();
    other.vips.truncate(1);
    other.vips[0].no_server = 0;
    let mut one = samples::vpp_lb_counters();
    one.vips.truncate(2);
    let replies =
        [reply("lb1:17090", Answer::VppLbCounters(one)), reply("lb2:17090", Answer::VppLbCounters(other))];
    let expected = "\
Server     Frontend  VIP           Service  Known packets  First packets  Untracked  Dropped  Route packets  Route bytes  Differs
lb1:17090  mail      203.0.113.30  tcp/25               0              0          0      512        1000000   1400000000
lb2:17090  mail      203.0.113.30  tcp/25               0              0          0        0        1000000   1400000000
lb1:17090  shop      203.0.113.10  tcp/443         987654          12345          1        0        1000000   1400000000  missing on lb2:17090
";
    assert_eq!(shown(&replies), expected);
}

#[test]
fn one_thing_of_several_servers_comes_one_after_the_other() {
    let mut other = samples::status();
    (other.uptime_ms, other.frontends_up, other.version) = (9_000_000, 3, "0.1.1".into());
    let mut replies = vec![
        reply("lb1:17090", Answer::Status(samples::status())),
        reply("lb2:17090", Answer::Status(other)),
    ];
    let text = shown(&replies);
    assert!(text.starts_with("--- lb1:17090\nfrontend legacy (45s): not programmed"), "{text}");
    assert!(text.contains("\nmaglev-brain   0.1.1, up 2h30m\n"), "{text}");
    assert!(text.ends_with("\n\nDiffers: frontends_up, version\n"), "{text}");
    replies.pop();
    replies.push(away("unix:/run/x.sock"));
    let text = shown(&replies);
    let expected =
        "\nOnly one server answered.\nunix:/run/x.sock: no connection to unix:/run/x.sock within 5s\n";
    assert!(text.ends_with(expected), "{text}");
    replies.remove(0);
    assert_eq!(shown(&replies), "unix:/run/x.sock: no connection to unix:/run/x.sock within 5s\n");
}

#[test]
fn differing_fields_are_named_by_what_they_belong_to() {
    let mut other = samples::shop();
    other.vpp_figures_age_ms = None;
    other.pools[0].backends[1].set_state(BackendState::Up);
    other.pools[0].backends[1].flows = None;
    other.pools.truncate(1);
    let replies =
        [reply("lb1:17090", Answer::Frontend(samples::shop())), reply("lb2:17090", Answer::Frontend(other))];
    let text = shown(&replies);
    assert!(text.ends_with("\nDiffers: pools fallback, web2 state\n"), "{text}");
}

#[test]
fn equal_and_empty_answers_are_said_to_be() {
    let same =
        [reply("lb1:1", Answer::Agent(samples::agent())), reply("lb2:1", Answer::Agent(samples::agent()))];
    assert!(shown(&same).ends_with("\nDiffers: nothing\n"));
    let none = || Answer::Overrides(ListOverridesResponse::default());
    assert_eq!(shown(&[reply("lb1:1", none()), reply("lb2:1", none())]), "None on any of the servers.\n");
}

#[test]
fn many_differing_fields_are_counted() {
    let fields = (0..9).map(|number| vec![format!("f{number}")]).collect();
    assert_eq!(named(fields), ["f0", "f1", "f2", "6 more"]);
    let weights = ["effective_weight", "programmed_weight"];
    let path = |field| ["pools", "primary", "backends", "web1", field].map(str::to_owned).to_vec();
    assert_eq!(named(weights.map(path).into()), ["web1 effective_weight +1"]);
}

#[test]
fn differences_and_errors_stand_out() {
    let mut replies = vec![away("lb3:17090")];
    for (server, frontends) in [("lb1:1", samples::frontends()), ("lb2:1", Vec::new())] {
        replies.push(reply(
            server,
            Answer::Frontends(ListFrontendsResponse { frontends, ..ListFrontendsResponse::default() }),
        ));
    }
    let text = text(&replies, Moment(NOW), COLORED).unwrap();
    assert!(text.contains("\x1b[33mmissing on lb2:1\x1b[0m\n"), "{text}");
    assert!(text.ends_with("\x1b[31mlb3:17090: no connection to lb3:17090 within 5s\x1b[0m\n"), "{text}");
}
