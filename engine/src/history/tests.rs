use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn change(backend: &str, from: State, to: State, ms: u64) -> Record {
    let record = Record::new(at(ms), Kind::Backend, "as a test");
    Record { backend: backend.to_owned(), from: Some(from), to: Some(to), ..record }
}

/// The next line of the file. Empty if nothing happened.
fn enter(ledger: &mut Ledger, record: Record) -> String {
    ledger.number(record).map_or_else(String::new, |record| record.line())
}

fn file_of(ledger: &mut Ledger, records: impl IntoIterator<Item = Record>) -> String {
    records.into_iter().map(|record| enter(ledger, record)).collect()
}

fn since(ledger: &Ledger, backend: &str) -> Option<(State, u64)> {
    let found = ledger.states().find(|(name, _)| *name == backend)?.1;
    Some((found.state, unix_ms(found.at)))
}

#[test]
fn format_of_a_line_is_fixed() {
    let mut ledger = Ledger { next: 17, ..Ledger::default() };
    let line = enter(&mut ledger, change("web1", State::Up, State::Down, 1_795_957_506_123));
    assert_eq!(
        line,
        "6115ac54 {\"n\":17,\"at\":1795957506123,\"kind\":\"backend\",\"backend\":\"web1\",\"from\":\"up\",\
         \"to\":\"down\",\"what\":\"as a test\"}\n"
    );
    let record = Record::new(at(1), Kind::Reload, "two\nlines \u{2028} \u{1b}");
    let record = Record { failed: true, who: "anna".to_owned(), reason: "NOC-1".to_owned(), ..record };
    let line = enter(&mut ledger, record.clone());
    assert_eq!(line.matches('\n').count(), 1);
    assert_eq!(parse(&[line]).records, [Record { number: 18, ..record }]);
    assert_eq!(Record::new(at(1), Kind::Brain, "x".repeat(5000)).what.len(), LONGEST_WHAT);
}

#[test]
fn state_before_a_start_goes_on_if_it_is_found_again() {
    use State::{Down, Removed, Unknown, Up};
    let mut ledger = Ledger::default();
    let mut file = file_of(&mut ledger, [change("a", Unknown, Up, 10), change("b", Unknown, Up, 11)]);
    // A restart.
    let mut ledger = Ledger::of(&parse(&[&file]));
    let again = enter(&mut ledger, change("a", Unknown, Up, 20));
    assert!(again.is_empty(), "nothing happened: {again}");
    file += &enter(&mut ledger, change("b", Unknown, Down, 21));
    assert_eq!((since(&ledger, "a"), since(&ledger, "b")), (Some((Up, 10)), Some((Down, 21))));
    // Within one run, unknown is a state like any other.
    file += &file_of(&mut ledger, [change("a", Up, Unknown, 30), change("a", Unknown, Up, 31)]);
    assert_eq!(since(&ledger, "a"), Some((Up, 31)));
    file += &enter(&mut ledger, change("b", Down, Removed, 32));
    assert_eq!(since(&ledger, "b"), None);
    assert_eq!(
        parse(&[&file]).records.iter().map(|record| record.number).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
}

#[test]
fn states_outlive_the_file_that_had_their_changes() {
    use State::{Down, Unknown, Up};
    let mut ledger = Ledger::default();
    file_of(
        &mut ledger,
        [change("a", Unknown, Up, 10), change("b", Unknown, Up, 11), change("b", Up, Down, 12)],
    );
    let head = ledger.head();
    let contents = parse(&[head]);
    let again = Ledger::of(&contents);
    assert_eq!((since(&again, "a"), since(&again, "b")), (Some((Up, 10)), Some((Down, 12))));
    let (shown, _) = Filter { most: 10, ..Filter::default() }.select(contents.records);
    assert_eq!(shown, [], "states are no events");
    assert!(!is_full(0, LARGEST_SEGMENT + 1) && !is_full(LARGEST_SEGMENT - 5, 5));
    assert!(is_full(LARGEST_SEGMENT - 5, 6) && is_full(u64::MAX, u64::MAX));
}

#[test]
fn filter_keeps_the_newest_of_a_name_and_time() {
    let mut ledger = Ledger::default();
    let mut file = file_of(
        &mut ledger,
        (1..=4).map(|ms| change("a", State::Up, if ms % 2 == 0 { State::Up } else { State::Down }, ms * 10)),
    );
    let command = Record { frontend: "www".to_owned(), ..Record::new(at(45), Kind::Command, "sync") };
    file += &enter(&mut ledger, command);
    let numbers = |filter: Filter| {
        let (records, left_out) = filter.select(parse(&[&file]).records);
        (records.iter().map(|record| record.number).collect::<Vec<_>>(), left_out)
    };
    let all = || Filter { most: 10, ..Filter::default() };
    assert_eq!(numbers(all()), (vec![0, 1, 2, 3, 4], 0));
    assert_eq!(numbers(Filter { most: 2, ..all() }), (vec![3, 4], 3));
    assert_eq!(numbers(Filter { backend: "a".to_owned(), since: Some(at(25)), ..all() }), (vec![2, 3], 0));
    assert_eq!(numbers(Filter { frontend: "www".to_owned(), ..all() }), (vec![4], 0));
    assert_eq!(numbers(Filter { frontend: "ww".to_owned(), ..all() }), (vec![], 0));
}

fn any_state() -> impl Strategy<Value = State> {
    use State::{Disabled, Down, Paused, Unknown, Up};
    prop::sample::select(vec![Unknown, Up, Down, Paused, Disabled])
}

/// Records of a few backends, with clocks that step in both directions, and records of other kinds.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let change = (0..3_usize, any_state(), any_state(), 0..10_000_u64)
        .prop_map(|(name, from, to, ms)| change(["a", "b", "c"][name], from, to, ms));
    let other = (any::<String>(), any::<String>(), any::<bool>(), 0..10_000_u64).prop_map(
        |(what, who, failed, ms)| Record { who, failed, ..Record::new(at(ms), Kind::Reload, what) },
    );
    vec(prop_oneof![3 => change, 1 => other], 1..20)
}

proptest! {
    /// Wherever a file is torn, all whole lines are read, and what is appended after a line end is read too.
    #[test]
    fn torn_line_loses_only_itself(records in any_records(), later in any_records(), cut in any::<prop::sample::Index>()) {
        let mut ledger = Ledger::default();
        let whole = file_of(&mut ledger, records);
        let all = parse(&[&whole]);
        prop_assert_eq!(all.damaged, 0);
        let torn = &whole.as_bytes()[..cut.index(whole.len() + 1)];
        let ends = torn.iter().filter(|byte| **byte == b'\n').count();
        let contents = parse(&[torn]);
        prop_assert!(contents.records.len() - ends <= 1, "at most a line that lacks only its end");
        prop_assert_eq!(&all.records[..contents.records.len()], &contents.records[..]);
        // The next start goes on behind it.
        let mut ledger = Ledger::of(&contents);
        let more = file_of(&mut ledger, later);
        let between: &[u8] = if torn.last().is_none_or(|byte| *byte == b'\n') { b"" } else { b"\n" };
        let joined = [torn, between, more.as_bytes()].concat();
        let again = parse(&[&joined]);
        prop_assert_eq!(again.damaged, contents.damaged);
        let expected: Vec<_> = contents.records.into_iter().chain(parse(&[&more]).records).collect();
        prop_assert_eq!(&again.records, &expected);
        let mut numbers: Vec<_> = again.records.iter().map(|record| record.number).collect();
        let count = numbers.len();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), count, "numbers stay unique");
        prop_assert!(numbers.is_sorted());
    }

    /// A damaged byte costs its own line, or two if it was the end between them; and no byte of any file is refused.
    #[test]
    fn damaged_line_loses_only_itself(records in any_records(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = file_of(&mut Ledger::default(), records).into_bytes();
        prop_assume!(!bytes.is_empty());
        let all = parse(&[&bytes]).records;
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let left = parse(&[&bytes]).records;
        prop_assert!(left.len() + 2 >= all.len());
        prop_assert!(left.iter().all(|record| all.contains(record)));
    }

    /// A file written twice, as by a late write that is repeated, has everything once.
    #[test]
    fn repeated_lines_count_once(records in any_records(), from in any::<prop::sample::Index>()) {
        let file = file_of(&mut Ledger::default(), records);
        let starts: Vec<_> = std::iter::once(0).chain(file.match_indices('\n').map(|(end, _)| end + 1)).collect();
        let repeated = &file[starts[from.index(starts.len())]..];
        let (once, twice) = (parse(&[&file]), parse(&[file.clone() + repeated]));
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(Ledger::of(&once).states, Ledger::of(&twice).states);
    }

    /// What is read back is what was known, whatever the clock did, also from the lines that begin a new file.
    #[test]
    fn states_are_read_back(records in any_records()) {
        let mut ledger = Ledger::default();
        let file = file_of(&mut ledger, records);
        let again = Ledger::of(&parse(&[&file]));
        prop_assert_eq!(&again.states, &ledger.states);
        prop_assert_eq!(again.next, ledger.next);
        prop_assert_eq!(Ledger::of(&parse(&[ledger.head()])).states, ledger.states);
    }

    #[test]
    fn no_bytes_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        let contents = parse(&[bytes]);
        Ledger::of(&contents);
    }
}
