use std::net::IpAddr;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use super::grammar::{Command, FORMS, MOST_WORKERS};
use super::{Action, Fault, FaultSet, Filter, MOST_FAULTS, Restart, StatsFault, Subject, Window, can_fail};
use crate::api::{LbApi, request_names};
use crate::stats::Damage;

fn fault(text: &str) -> Fault {
    match text.parse().unwrap_or_else(|error| panic!("{text}: {error}")) {
        Command::Set(fault) => fault,
        other => panic!("{text} is {other:?}"),
    }
}

fn error(text: &str) -> String {
    text.parse::<Command>().expect_err(text).to_string()
}

const WEIGHT: Subject<'static> =
    Subject { message: Some("lb_as_set_weight"), client: "agent", vip: None, port: None, server: None };
const DUMP: Subject<'static> = Subject { message: Some("lb_vip_dump"), ..WEIGHT };

#[test]
fn commands_mean_what_they_say() {
    assert_eq!(fault("delay 200ms"), Fault::new(Action::Delay(Duration::from_millis(200))));
    let filter = Filter { message: Some("lb_add_del_as_v2"), ..Filter::default() };
    let nth = Fault { action: Action::Lose, filter: filter.clone(), window: Window::nth(3) };
    assert_eq!(fault("lose lb_add_del_as_v2 nth 3"), nth);
    assert_eq!(fault("  lose\tnth 3   lb_add_del_as_v2 "), nth);
    let filter = Filter {
        client: Some("agent".to_owned()),
        vip: Some("192.0.2.1".parse().unwrap()),
        port: Some(80),
        server: Some("2001:db8::7".parse().unwrap()),
        ..filter
    };
    let all = Fault { action: Action::Fail(-6), filter, window: Window { first: 1, last: Some(2) } };
    let text = "fail retval -6 lb_add_del_as_v2 client agent vip 192.0.2.1 port 80 as 2001:db8::7 count 2";
    assert_eq!(fault(text), all);
    assert_eq!(all.to_string(), text);
    assert_eq!("hang".parse(), Ok(Command::Hang));
    assert_eq!("restart".parse(), Ok(Command::Restart(Restart::default())));
    let restart =
        Restart { empty_for: Duration::from_millis(500), lb_api: Some(LbApi::V1_1_0), ..Restart::default() };
    assert_eq!("restart lb-api 1.1.0 empty-for 500ms".parse(), Ok(Command::Restart(restart)));
    assert_eq!(fault("restart empty-for 500ms lb-api 1.1.0 nth 2").action, Action::Restart(restart));
    let restart = Restart { heap_size: Some(512 << 20), workers: Some(2), ..Restart::default() };
    assert_eq!("restart heap-size 512M workers 2".parse(), Ok(Command::Restart(restart)));
    assert_eq!(restart.to_string(), " heap-size 536870912 workers 2");
    assert_eq!("rebuilds".parse(), Ok(Command::Rebuilds));
    assert_eq!(fault("hang from 2").window, Window { first: 2, last: None });
    for (text, meant) in [
        ("busy-stats on", StatsFault::Busy(true)),
        ("busy-stats off", StatsFault::Busy(false)),
        ("churn-stats 5ms", StatsFault::Churn(Some(Duration::from_millis(5)))),
        ("churn-stats off", StatsFault::Churn(None)),
        ("grow-stats 500", StatsFault::Grow(500)),
        ("break-stats lengths", StatsFault::Break(Some(Damage::Lengths))),
        ("break-stats off", StatsFault::Break(None)),
    ] {
        assert_eq!(text.parse(), Ok(Command::Stats(meant)));
        assert_eq!(meant.to_string(), text);
    }
    assert_eq!("clear".parse(), Ok(Command::Clear(None)));
    assert_eq!("clear 4".parse(), Ok(Command::Clear(Some(4))));
}

#[test]
fn errors_tell_what_was_found_and_what_would_be_right() {
    for (line, expected) in [
        ("", "the line ends where a command of delay, lose,"),
        ("dela 5ms", "\"dela\" found, expected one of delay, lose,"),
        ("drop nth 3", "\"drop\" found, expected lose (not carried out"),
        ("delay", "the line ends where a time as 200ms"),
        ("restart heap-size 12", "\"12\" found, expected a size such as 512M, from 64M to 1024G"),
        ("restart heap-size 99999999999G", "expected a size such as 512M"),
        ("restart heap-size 1G heap-size 1G", "\"heap-size\" is given twice"),
        ("restart workers 256", "\"256\" found, expected a number of threads from 0 to 255"),
        ("delay 5", "\"5\" found, expected a time as 200ms or 5s"),
        ("delay 3601s", "at most an hour"),
        ("delay 99999999999999999999s", "at most an hour"),
        ("fail -6", "\"-6\" found, expected retval"),
        ("fail retval 0", "\"0\" found, expected a return value from -128 to -1"),
        ("fail retval -6 lb_vip_dump", "lb_vip_dump has no return value"),
        ("fail retval -6 sockclnt_create", "lose or mute it"),
        ("lose lb_as_set_weight_2d89bdbd", "or a message without its CRC: api_versions,"),
        ("lose lb_conf lb_conf", "\"MESSAGE\" is given twice"),
        ("lose nth 1 nth 2", "\"nth\" is given twice"),
        ("lose nth 1 count 2", "\"count\" is given twice"),
        ("lose nth 0", "\"0\" found, expected a count from 1 on"),
        ("lose as 10.0.0.256", "\"10.0.0.256\" found, expected the application server's address"),
        ("lose port 65536", "a port from 0 to 65535"),
        ("restart lb-api 1.3.0", "\"1.3.0\" found, expected 1.2.0, 1.1.0 or 1.0.0"),
        ("restart empty-for 1s empty-for 1s", "\"empty-for\" is given twice"),
        ("busy-stats maybe", "\"maybe\" found, expected one of on, off"),
        ("churn-stats 0ms", "\"0ms\" found, expected off, or a time as 200ms or 5s, from 1ms"),
        ("grow-stats 10001", "a number of entries from 1 to 10000"),
        ("break-stats", "the line ends where version, directory, pointers, lengths, off is expected"),
        ("resume now", "\"now\" found, expected the end of the line"),
        ("clear one", "\"one\" found, expected the number of a fault"),
        ("help halp", "\"halp\" found, expected delay, lose,"),
    ] {
        let error = error(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

/// The examples in the tables of the manual, between backquotes in the first column.
#[test]
fn every_example_of_the_manual_is_a_command() {
    let manual = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vppsim.md"));
    let section = manual.split("\n## ").find(|section| section.starts_with("Faults\n")).unwrap();
    let tables = section.split("\n### ").filter(|part| !part.starts_with("VPP 26.06"));
    let cells = tables.flat_map(str::lines).filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let examples: Vec<_> = cells.flat_map(|cell| cell.split('`').step_by(2)).collect();
    let limits = ["MESSAGE", "client NAME", "vip ADDRESS", "port PORT", "as ADDRESS"];
    let limits = limits.into_iter().chain(["nth N", "count N", "from N", "always"]);
    let commands: Vec<_> =
        examples.into_iter().filter(|text| !limits.clone().any(|limit| limit == *text)).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for text in &commands {
        text.parse::<Command>().unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    for form in FORMS {
        assert!(
            commands.iter().any(|text| text.split(' ').next() == Some(form.name)),
            "{} has no example",
            form.name
        );
    }
}

#[test]
fn every_form_is_a_command() {
    for form in FORMS {
        assert_eq!(format!("help {}", form.name).parse(), Ok(Command::Help(Some(form))));
        let found = form.name.parse::<Command>();
        assert!(!found.is_err_and(|error| error.to_string().contains("found")), "{}", form.name);
    }
}

#[test]
fn a_window_counts_the_requests_that_are_meant() {
    for (text, hit) in [
        ("lose lb_as_set_weight", "xxxxxx"),
        ("lose lb_as_set_weight always", "xxxxxx"),
        ("lose lb_as_set_weight nth 3", "  x   "),
        ("lose lb_as_set_weight count 2", "xx    "),
        ("lose lb_as_set_weight from 5", "    xx"),
    ] {
        let mut faults = FaultSet::default();
        let number = faults.add(fault(text)).unwrap();
        let befallen = (0..6).map(|_| {
            assert!(faults.judge(&DUMP).is_harmless());
            if faults.judge(&WEIGHT).is_harmless() { ' ' } else { 'x' }
        });
        assert_eq!(befallen.collect::<String>(), hit, "{text}");
        let set = faults.get(number).unwrap();
        assert_eq!((set.seen, set.hits), (6, hit.matches('x').count() as u64));
        assert_eq!(set.is_spent(), set.fault.window.last.is_some());
    }
}

#[test]
fn the_first_fault_wins_and_delays_add_up() {
    let mut faults = FaultSet::default();
    for text in ["delay 5ms", "close nth 2", "lose", "delay 1s lb_as_set_weight"] {
        faults.add(fault(text)).unwrap();
    }
    let first = faults.judge(&WEIGHT);
    assert_eq!((first.delay, first.action), (Duration::from_millis(1005), Some(Action::Lose)));
    assert_eq!(faults.judge(&DUMP).action, Some(Action::Close));
    let hits: Vec<_> = faults.iter().map(|set| (set.seen, set.hits)).collect();
    assert_eq!(hits, [(2, 2), (2, 1), (2, 1), (1, 1)]);
}

#[test]
fn a_failure_passes_by_what_has_no_return_value() {
    let mut faults = FaultSet::default();
    faults.add(fault("fail retval -6 nth 1")).unwrap();
    assert!(faults.judge(&DUMP).is_harmless());
    assert!(faults.judge(&Subject { message: None, ..WEIGHT }).is_harmless());
    assert_eq!(faults.judge(&WEIGHT).action, Some(Action::Fail(-6)));
}

#[test]
fn the_spent_make_room_and_the_others_do_not() {
    let mut faults = FaultSet::default();
    for _ in 0..MOST_FAULTS {
        faults.add(fault("delay 1ms nth 1")).unwrap();
    }
    faults.add(fault("lose")).unwrap_err();
    faults.judge(&WEIGHT);
    let number = faults.add(fault("lose")).unwrap();
    assert_eq!(faults.iter().count(), MOST_FAULTS);
    assert!(faults.get(1).is_none());
    assert!(faults.remove(number));
    assert!(!faults.remove(number));
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..3_600_000_u64).prop_map(|millis| Action::Delay(Duration::from_millis(millis))),
        Just(Action::Lose),
        Just(Action::Mute),
        (-128..=-1).prop_map(Action::Fail),
        Just(Action::Close),
        Just(Action::Cut),
        Just(Action::Hang),
        restarts().prop_map(Action::Restart),
    ]
}

fn restarts() -> impl Strategy<Value = Restart> {
    let versions = prop::sample::select(vec![LbApi::V1_2_0, LbApi::V1_1_0, LbApi::V1_0_0]);
    let parts = (
        0..3_600_000_u64,
        option::of(versions),
        option::of((64_u64 << 20)..=(1 << 40)),
        option::of(0..=MOST_WORKERS),
    );
    parts.prop_map(|(millis, lb_api, heap_size, workers)| Restart {
        empty_for: Duration::from_millis(millis),
        lb_api,
        heap_size,
        workers,
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let names: Vec<_> = request_names().filter(|name| can_fail(name)).collect();
    let parts = (
        option::of(proptest::sample::select(names)),
        option::of("[a-z-]{1,9}"),
        option::of(any::<IpAddr>()),
        option::of(any::<u16>()),
        option::of(any::<IpAddr>()),
    );
    parts.prop_map(|(message, client, vip, port, server)| Filter { message, client, vip, port, server })
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![
        Just(Window::ALWAYS),
        (1..u64::MAX).prop_map(Window::nth),
        (1..u64::MAX).prop_map(|first| Window { first, last: None }),
        (1..u64::MAX).prop_map(|last| Window { first: 1, last: Some(last) }),
    ]
}

proptest! {
    #[test]
    fn a_fault_prints_itself_as_what_it_is_parsed_from(
        action in actions(), filter in filters(), window in windows(),
    ) {
        let written = Fault { action, filter, window };
        prop_assert_eq!(fault(&written.to_string()), written);
    }

    #[test]
    fn any_line_is_a_command_or_an_error_with_a_text(line in "\\PC*") {
        if let Err(error) = line.parse::<Command>() {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_words_of_the_grammar_too(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "delay", "lose", "fail", "retval", "-6", "hang", "restart", "empty-for", "lb-api", "1.1.0", "heap-size", "1G", "workers", "clear", "wait", "help", "5ms", "18446744073709551616",
                "nth", "from", "count", "always", "vip", "as", "client", "port", "192.0.2.1", "::1", "lb_conf", "80",
            ]),
            0..9,
        ),
    ) {
        let line = words.join(" ");
        match line.parse::<Command>() {
            Ok(Command::Set(set)) => prop_assert_eq!(fault(&set.to_string()), set),
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
