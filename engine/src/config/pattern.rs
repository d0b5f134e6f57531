//! Regular expressions for a partially received body.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

/// How far beyond a match an assertion can look, in bytes: one UTF-8 character.
const LONGEST_LOOK: usize = 4;

/// A regular expression over bytes, since a body need not be UTF-8. Two with the same text are equal.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// Whether it has an assertion about the following text, such as `$` or `\b`.
    looks_ahead: bool,
}

impl Pattern {
    /// A pattern that matches exactly these bytes; `None` if they are too many for one.
    pub(super) fn of(bytes: &[u8]) -> Option<Pattern> {
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect();
        format!("(?-u){escaped}").parse().ok()
    }

    /// Whether it matches somewhere in these bytes.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }

    /// Whether it matches these bytes regardless of what follows. Without look-ahead assertions, every match
    /// is final; with them, only a match far enough from the end that everything it looked at has arrived.
    /// May miss some of those.
    pub fn is_match_for_good(&self, bytes: &[u8]) -> bool {
        let look = if self.looks_ahead { LONGEST_LOOK } else { 0 };
        self.regex.shortest_match(bytes).is_some_and(|end| bytes.len() - end >= look)
    }

    /// Text of the pattern.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Pattern, regex::Error> {
        let regex = Regex::new(text)?;
        let parsed = ParserBuilder::new().utf8(false).build().parse(text);
        let looks_back = |look| matches!(look, Look::Start | Look::StartLF);
        let looks_ahead = !parsed.is_ok_and(|parsed| parsed.properties().look_set().iter().all(looks_back));
        Ok(Pattern { regex, looks_ahead })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests;
