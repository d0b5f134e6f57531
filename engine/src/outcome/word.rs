//! A server's own word on how much traffic it wants, as HAProxy's agent-check has it.

use std::fmt;

/// Maximum length of a server's word, in bytes. A longer one is ignored.
pub const LONGEST_WORD: usize = 64;

/// Share of its configured weight that a server asks for, in percent, 0 to 100. 0 drains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u8);

impl Share {
    /// No new flows: the server drains.
    pub const DRAIN: Self = Self(0);
    /// The whole weight.
    pub const WHOLE: Self = Self(100);

    /// A share in percent, if it is at most 100.
    pub fn of(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// In percent.
    pub fn percent(self) -> u8 {
        self.0
    }

    /// This share of a weight: rounded, and at least 1 unless the server drains or the weight is 0.
    pub fn part(self, weight: u8) -> u8 {
        let part = (u32::from(weight) * u32::from(self.0) + 50) / 100;
        let least = u32::from(weight > 0 && self != Self::DRAIN);
        u8::try_from(part.max(least)).unwrap_or(weight)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DRAIN => f.write_str("drain"),
            Self(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A server's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is in service with this share of its weight.
    Serves(Share),
    /// It is down.
    Down,
}

impl Word {
    /// Parses words separated by white space or commas, in any case: `up` or `ready`, `drain` or `maint`, `40%`, and
    /// `down`, `fail` or `stopped`; a description may follow after `#`. The least of several shares counts, and down before
    /// all. `None` if there is no word, or one that is none of these.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST_WORD {
            return None;
        }
        let words = text.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words = words.split(|byte| byte.is_ascii_whitespace() || *byte == b',');
        let mut parsed = None;
        for word in words.filter(|word| !word.is_empty()) {
            let next = Self::one(word)?;
            parsed = Some(match (parsed, next) {
                (Some(Self::Down), _) | (_, Self::Down) => Self::Down,
                (Some(Self::Serves(before)), Self::Serves(share)) => Self::Serves(before.min(share)),
                (None, next) => next,
            });
        }
        parsed
    }

    fn one(word: &[u8]) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        if is(&["up", "ready"]) {
            return Some(Self::Serves(Share::WHOLE));
        }
        if is(&["drain", "maint"]) {
            return Some(Self::Serves(Share::DRAIN));
        }
        if is(&["down", "fail", "stopped"]) {
            return Some(Self::Down);
        }
        let digits = word.strip_suffix(b"%")?;
        // The standard parser accepts a sign as well.
        let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
        let percent = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Share::of(percent).map(Self::Serves)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_those_of_haproxy_s_agents() {
        let share = |percent| Some(Word::Serves(Share::of(percent).unwrap()));
        for (text, word) in [
            ("up", share(100)),
            ("READY", share(100)),
            ("drain", share(0)),
            ("0%", share(0)),
            ("40%", share(40)),
            ("up 75%", share(75)),
            ("75%, ready", share(75)),
            ("drain 40%", share(0)),
            ("down # disk full", Some(Word::Down)),
            ("40% fail", Some(Word::Down)),
            ("stopped", Some(Word::Down)),
            ("up #100 % sure", share(100)),
            ("", None),
            ("# only a description", None),
            ("101%", None),
            ("300%", None),
            ("-5%", None),
            ("+5%", None),
            ("4 %", None),
            ("%", None),
            ("40", None),
            ("maint", share(0)),
            ("maint 40%", share(0)),
            ("up and away", None),
            ("99999999999999999999%", None),
        ] {
            assert_eq!(Word::parse(text.as_bytes()), word, "{text}");
        }
        assert_eq!(Word::parse(&[b' '; LONGEST_WORD + 1]), None);
        assert_eq!(Word::parse(b"\xff\xfe%"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_word_or_none(bytes: Vec<u8>) {
            if let Some(Word::Serves(share)) = Word::parse(&bytes) {
                prop_assert!(share <= Share::WHOLE);
            }
        }

        #[test]
        fn a_part_is_in_order_and_never_more(weight: u8, one in 0u8..=100, other in 0u8..=100) {
            let [less, more] = [one.min(other), one.max(other)].map(|percent| Share::of(percent).unwrap());
            prop_assert!(less.part(weight) <= more.part(weight));
            prop_assert!(more.part(weight) <= weight);
            prop_assert_eq!(less.part(weight) == 0, less == Share::DRAIN || weight == 0);
            prop_assert_eq!(Share::WHOLE.part(weight), weight);
        }
    }
}
