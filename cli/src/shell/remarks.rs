//! Completion of the words at the end of a change, which may be in any order.

use crate::args::remark::PARTS;
use crate::args::words::only_one;
use crate::shell::events::Expected;

/// The possibilities after these words.
pub(crate) fn expected<'w>(given: impl IntoIterator<Item = &'w str>, flush: bool) -> Expected {
    let (mut given, mut left) = (given.into_iter(), PARTS.to_vec());
    left.retain(|part| flush || *part != "flush");
    while let Some(word) = given.next() {
        let Some(part) = only_one(word, &left) else { return Expected::default() };
        left.retain(|other| *other != part && !(is_end(part) && is_end(other)));
        if part != "flush" && given.next().is_none() {
            let placeholder = Some(match part {
                "reason" => ("<TEXT>", "why, in quotes: shown with the override"),
                "for" => ("<TIME>", "such as 30m, 2h or 3days"),
                _ => ("<TIME>", "in UTC: 18:00 or 2026-11-30T18:00:00Z"),
            });
            return Expected { placeholder, ..Expected::default() };
        }
    }
    let words = left.iter().map(|part| (*part, help(part))).collect();
    Expected { words, may_end: true, ..Expected::default() }
}

fn is_end(part: &str) -> bool {
    matches!(part, "for" | "until")
}

fn help(part: &str) -> &'static str {
    match part {
        "reason" => "why: shown with the override",
        "for" => "clear the override after this time",
        "until" => "clear the override at this time",
        "flush" => "move its existing flows elsewhere at once",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_not_offered_again() {
        let words = |given: &[&str], flush| {
            let expected = expected(given.iter().copied(), flush);
            let words: Vec<_> = expected.words.iter().map(|(word, _)| *word).collect();
            (words, expected.placeholder.map(|(name, _)| name), expected.may_end)
        };
        assert_eq!(words(&[], false), (vec!["reason", "for", "until"], None, true));
        assert_eq!(words(&["flush"], true), (vec!["reason", "for", "until"], None, true));
        assert_eq!(words(&["reason"], true), (vec![], Some("<TEXT>"), false));
        assert_eq!(words(&["reason", "RAM", "for", "2h"], true), (vec!["flush"], None, true));
        assert_eq!(words(&["nonsense"], true), (vec![], None, false));
    }
}
