use super::*;
use crate::args::EventFilter;
use crate::args::any_order::Parts;

fn after(line: &str) -> Expected {
    expected(line.split_whitespace())
}

#[test]
fn each_word_says_what_can_follow() {
    let words = |line: &str| after(line).words.into_iter().map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(words(""), PARTS);
    assert_eq!(words("num"), [""; 0]);
    assert_eq!(words("num 3"), PARTS);
    assert_eq!(words("lo"), ["level"].iter().chain(&PARTS).copied().collect::<Vec<_>>());
    assert_eq!(words("log lev"), ["error", "warn", "info", "debug", "trace"]);
    assert_eq!(words("log level warn"), PARTS);
    assert_eq!((after("b").names, words("b")), (Some(Kind::Backend), PARTS.to_vec()));
    assert_eq!(after("backend log").names, None, "a whole word is no name");
    assert_eq!(after("backend web1").names, None);
    assert_eq!(after("log frontend").names, Some(Kind::Frontend));
}

/// Agrees with the parser about where a line may end.
#[test]
fn end_is_where_the_parser_takes_it() {
    let words = ["num", "3", "log", "level", "warn", "backend", "web1", "frontend", "connections"];
    for first in words {
        for second in words {
            for third in words {
                let line = [first, second, third];
                let taken = EventFilter::of(line).is_ok();
                assert!(!taken || expected(line).may_end, "{line:?}");
            }
        }
    }
    assert!(!after("num").may_end && !after("log level").may_end && after("log").may_end);
}

#[test]
fn every_part_has_help() {
    assert!(PARTS.iter().all(|part| !help(part).is_empty()));
}
