use std::collections::BTreeSet;

use super::*;

/// The system call in an entry's name, without its arguments.
fn call(entry: &Entry) -> String {
    entry.to_string().split('(').next().unwrap().to_owned()
}

#[test]
fn every_mode_but_off_has_a_filter_that_compiles() {
    for mode in [Mode::Enforce, Mode::Log] {
        let filter = Filter::of(mode).unwrap();
        let program = compile(&filter.allowed, SeccompAction::Allow, filter.otherwise).unwrap();
        // The kernel's limit on instructions (BPF_MAXINSNS).
        assert!((ALLOWED.len()..4096).contains(&program.len()), "{}", program.len());
    }
    compile(HOSTILE, SeccompAction::KillProcess, SeccompAction::Allow).unwrap();
    assert!(Filter::of(Mode::Off).is_none());
}

#[test]
fn only_enforcing_ends_the_process() {
    let enforce = Filter::of(Mode::Enforce).unwrap();
    assert_eq!(enforce.hostile.len(), HOSTILE.len());
    assert_eq!(enforce.otherwise, SeccompAction::Errno(38));
    let log = Filter::of(Mode::Log).unwrap();
    assert!(log.hostile.is_empty());
    assert_eq!(log.otherwise, SeccompAction::Log);
}

#[test]
fn every_entry_has_a_name_of_its_own_and_a_reason() {
    for entries in [ALLOWED, HOSTILE] {
        let names: BTreeSet<_> = entries.iter().map(Entry::to_string).collect();
        assert_eq!(names.len(), entries.len());
        for entry in entries {
            assert!(!entry.reason.is_empty(), "{entry} has no reason");
            if let Needed::Rarely(when) = entry.needed {
                assert!(!when.is_empty(), "{entry} is rare without saying when");
            }
        }
    }
}

#[test]
fn one_call_has_one_number_and_either_conditions_everywhere_or_none() {
    for entries in [ALLOWED, HOSTILE] {
        for (index, entry) in entries.iter().enumerate() {
            for other in &entries[index + 1..] {
                assert_eq!(call(entry) == call(other), entry.number() == other.number(), "{entry}, {other}");
                let bare = [entry, other].map(|entry| entry.rule().unwrap().is_none());
                assert!(
                    call(entry) != call(other) || bare == [false; 2],
                    "{entry} makes {other} meaningless"
                );
            }
        }
    }
}

#[test]
fn nothing_allowed_without_conditions_is_hostile() {
    let bare = |entry: &&Entry| entry.rule().unwrap().is_none();
    let allowed: BTreeSet<_> = ALLOWED.iter().filter(bare).map(call).collect();
    let hostile: BTreeSet<_> = HOSTILE.iter().map(call).collect();
    assert_eq!(allowed.intersection(&hostile).collect::<Vec<_>>(), Vec::<&String>::new());
}
