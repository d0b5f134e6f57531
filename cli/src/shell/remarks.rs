//! Completion of the words at the end of a change, which may be in any order.

use crate::args::words::only_one;
use crate::shell::events::Expected;
use crate::tree::Kind;

/// The possibilities after these words.
pub(crate) fn expected<'w>(given: impl IntoIterator<Item = &'w str>, parts: &[&'static str]) -> Expected {
    let (mut given, mut left) = (given.into_iter().peekable(), parts.to_vec());
    while let Some(word) = given.next() {
        let Some(part) = only_one(word, &left) else { return Expected::default() };
        left.retain(|other| *other != part && !(is_end(part) && is_end(other)));
        let has_value = match part {
            "flush" => false,
            // Its time may be left out.
            "wait" => given.peek().is_some_and(|next| next.starts_with(|first: char| first.is_ascii_digit())),
            _ => true,
        };
        if has_value && given.next().is_none() {
            if part == "via" {
                return Expected { words: vec![("tunnel", help(part))], ..Expected::default() };
            }
            if part == "order" {
                let words = vec![
                    ("one-by-one", "each when the one before has programmed it"),
                    ("halves", "half of them at once, then the others"),
                ];
                return Expected { words, ..Expected::default() };
            }
            let names = match part {
                "backend" => Some(Kind::Backend),
                "frontend" => Some(Kind::Frontend),
                _ => None,
            };
            if names.is_some() {
                return Expected { names, ..Expected::default() };
            }
            let placeholder = Some(match part {
                "reason" => ("<TEXT>", "why, in quotes: shown with the override"),
                "for" => ("<TIME>", "such as 30m, 2h or 3days"),
                "canary" => ("<NAMES>", "members that take it first: lb1, or lb1,lb2"),
                "soak" => ("<TIME>", "how long canaries run it before others take it: 5m"),
                "floor" => ("<N>", "flows that may be left"),
                "num" => ("<N>", "how many records: a whole number above 0"),
                "since" => ("<TIME>", "such as 1h, or 2026-11-30T18:00:00Z"),
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
        "wait" => "wait until its flows have ended: 10m, or this time",
        "canary" => "members that take it first",
        "soak" => "how long they run it before others take it",
        "order" => "how the others take it: one-by-one or halves",
        "floor" => "so many flows may be left",
        "backend" => "only what is about this backend",
        "frontend" => "only what is about this frontend",
        "via" => "test each hop through the tunnel",
        "since" => "only from then on: 1h, or a time in UTC",
        "num" => "the newest so many records (default: 100)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::fleet::OF_PLAN;
    use crate::args::remark::{OF_BACKEND, OF_WEIGHT};

    #[test]
    fn what_was_said_is_not_offered_again() {
        let words = |given: &[&str], flush| {
            let expected = expected(given.iter().copied(), if flush { OF_WEIGHT } else { OF_BACKEND });
            let words: Vec<_> = expected.words.iter().map(|(word, _)| *word).collect();
            (words, expected.placeholder.map(|(name, _)| name), expected.may_end)
        };
        assert_eq!(words(&[], false), (vec!["reason", "for", "until"], None, true));
        assert_eq!(words(&["flush"], true), (vec!["reason", "for", "until"], None, true));
        assert_eq!(words(&["reason"], true), (vec![], Some("<TEXT>"), false));
        assert_eq!(words(&["reason", "RAM", "for", "2h"], true), (vec!["flush"], None, true));
        assert_eq!(words(&["nonsense"], true), (vec![], None, false));
        let order = expected(["order"], OF_PLAN).words.into_iter().map(|(word, _)| word);
        assert_eq!(order.collect::<Vec<_>>(), ["one-by-one", "halves"]);
    }
}
