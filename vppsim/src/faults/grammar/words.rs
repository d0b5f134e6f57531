//! The words of a line, taken one after the other.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use super::{GrammarError, LONGEST, unexpected};

#[derive(Debug)]
pub(super) struct Words<'a>(std::iter::Peekable<SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self(line.split_whitespace().peekable())
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.0.peek().is_none()
    }

    pub(super) fn take(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub(super) fn take_if(&mut self, keyword: &str) -> bool {
        self.0.next_if(|word| *word == keyword).is_some()
    }

    pub(super) fn next(&mut self, expected: impl Display) -> Result<&'a str, GrammarError> {
        self.0.next().ok_or_else(|| GrammarError::Missing(expected.to_string()))
    }

    pub(super) fn end(&mut self) -> Result<(), GrammarError> {
        match self.0.next() {
            Some(word) => Err(unexpected(word, "the end of the line")),
            None => Ok(()),
        }
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> Result<(), GrammarError> {
        match self.next(keyword)? {
            word if word == keyword => Ok(()),
            other => Err(unexpected(other, keyword)),
        }
    }

    pub(super) fn number<T: FromStr + PartialOrd>(
        &mut self,
        expected: &str,
        range: RangeInclusive<T>,
    ) -> Result<T, GrammarError> {
        let word = self.next(expected)?;
        let number = word.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| unexpected(word, expected))
    }

    pub(super) fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T, GrammarError> {
        let expected = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let word = self.next(&expected)?;
        let chosen = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        chosen.ok_or_else(|| unexpected(word, &format!("one of {expected}")))
    }

    pub(super) fn address(&mut self, expected: &str) -> Result<IpAddr, GrammarError> {
        let word = self.next(expected)?;
        word.parse().map_err(|_| unexpected(word, expected))
    }

    /// A time, which may be 0.
    pub(super) fn time(&mut self) -> Result<Duration, GrammarError> {
        self.time_from(Duration::ZERO, "a time as 200ms or 5s, at most an hour")
    }

    /// A time between two events.
    pub(super) fn period(&mut self) -> Result<Duration, GrammarError> {
        self.time_from(Duration::from_millis(1), "off, or a time as 200ms or 5s, from 1ms to an hour")
    }

    /// A number with its unit, `ms` or `s`.
    fn time_from(&mut self, least: Duration, expected: &str) -> Result<Duration, GrammarError> {
        let word = self.next(expected)?;
        let parsed = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
            (Some(number), _) => number.parse().ok().map(Duration::from_millis),
            (None, Some(number)) => number.parse().ok().map(Duration::from_secs),
            (None, None) => None,
        };
        parsed.filter(|time| (least..=LONGEST).contains(time)).ok_or_else(|| unexpected(word, expected))
    }
}
