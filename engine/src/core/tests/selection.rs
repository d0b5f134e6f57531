use std::sync::Arc;

use super::*;
use crate::history::{Kind, Record};
use crate::overrides::Remark;
use crate::preview::{Severity, preview};

const LABELLED: &str = "
    a: { address: 10.0.0.1, healthcheck: tcp, labels: { rack: r1, dc: ams } }
    b: { address: 10.0.0.2, healthcheck: tcp, labels: { rack: r1 } }
    c: { address: 10.0.0.3, healthcheck: tcp, labels: { rack: r2 } }
    off: { address: 10.0.0.1, healthcheck: tcp, enabled: false, labels: { rack: r1 } }
    fixed: { address: 10.0.0.5 }
";

fn bench() -> Bench {
    let frontends = FRONTENDS.replace("a: {}, b: {}, off: {}", "a: {}, b: {}");
    let mut bench = Bench::with(configuration(AT_ONCE, LABELLED, &frontends), Overrides::default());
    bench.vpp(&[]);
    bench.all_up();
    bench
}

fn rack(value: &str, wish: BackendWish) -> Command {
    let selector = Selector::Label { key: "rack".to_owned(), value: value.to_owned() };
    Command::Backends { selector, wish }
}

fn answers(done: &Done) -> Vec<(&str, bool)> {
    done.backends.iter().map(|(name, result)| (&**name, result.is_ok())).collect()
}

#[test]
fn all_with_a_label_are_changed_at_once_and_each_answers() {
    let mut bench = bench();
    let (effects, done) = bench.command(rack("r1", BackendWish::Pause)).unwrap();
    assert_eq!(answers(&done), [("a", true), ("b", true), ("off", false)]);
    assert_eq!(bench.core.overrides().backends.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(bench.sync("one"), SyncStatus::Pending);
    let asked: Vec<_> = done.asked.iter().filter_map(|asked| asked.frontend.as_deref()).collect();
    assert_eq!(asked, ["one", "two"], "each frontend once");
    let told = |event: &Event| matches!(event, Event::Operator { command, .. } if command == "set backends label rack=r1 pause");
    assert!(told(&effects.events[0]) && effects.overrides);
    let given = rack("r1", BackendWish::Pause);
    let records = Record::of_command(UNIX_EPOCH, &given, &Remark::default(), &done);
    let about: Vec<_> = records.iter().map(|record| (record.kind, record.backend.as_str())).collect();
    assert_eq!(about, [(Kind::Command, "a"), (Kind::Command, "b")]);
    let (_, done) = bench.command(rack("r1", BackendWish::Resume)).unwrap();
    assert_eq!(answers(&done), [("a", true), ("b", true), ("off", false)]);
    assert!(bench.core.overrides().is_empty());
}

#[test]
fn all_at_an_address_are_changed_at_once() {
    let mut bench = bench();
    let host = |last| Selector::Host(IpAddr::from([10, 0, 0, last]));
    let (_, done) =
        bench.command(Command::Backends { selector: host(1), wish: BackendWish::Disable }).unwrap();
    assert_eq!(answers(&done), [("a", true), ("off", true)]);
    let none =
        bench.command(Command::Backends { selector: host(9), wish: BackendWish::Disable }).unwrap_err();
    assert_eq!(none.to_string(), "there is no backend with host 10.0.0.9");
}

#[test]
fn what_all_refuse_changes_nothing() {
    let mut bench = bench();
    bench.wish("a", BackendWish::Disable).unwrap();
    bench.wish("b", BackendWish::Disable).unwrap();
    let before = Arc::clone(bench.core.overrides());
    let refused = bench.command(rack("r1", BackendWish::Pause)).unwrap_err();
    assert!(matches!(refused, CommandError::Refused { .. }), "{refused}");
    assert_eq!(*bench.core.overrides(), before);
    let none = bench.command(rack("r9", BackendWish::Pause)).unwrap_err();
    assert_eq!(none.to_string(), "there is no backend with label rack=r9");
}

/// One at a time, no change takes the last server; together they do.
#[test]
fn preview_is_of_all_together() {
    let mut bench = bench();
    bench.wish("c", BackendWish::Pause).unwrap();
    let severity = |command| preview(&bench.core, command, &|_, _| None, bench.now).unwrap().severity;
    let one = Command::Backend { backend: "b".to_owned(), wish: BackendWish::Pause };
    assert_eq!(severity(one), Severity::Notice);
    assert_eq!(severity(rack("r1", BackendWish::Pause)), Severity::Danger);
    let all = preview(&bench.core, rack("r1", BackendWish::Pause), &|_, _| None, bench.now).unwrap();
    assert!(all.frontends[0].sentences[0].contains("no backend left"), "{all:?}");
    assert_eq!(bench.core.overrides().len(), 1, "nothing was changed");
}
