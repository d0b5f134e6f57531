//! The server's own word in a response: the header that a check names as its `agent-header`. Pure.

use compact_str::format_compact;
use maglev_engine::outcome::{Finding, ProbeCode, Share, Word};

use super::malformed::Quote;

/// The value of the header in a complete head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// There is no such header: the server asks for nothing.
    Absent,
    /// A word.
    Word(Word),
    /// Anything else.
    Unclear(Quote),
}

impl Statement {
    /// Reads the header's value.
    pub(super) fn of(value: Option<&[u8]>) -> Self {
        let Some(value) = value else { return Self::Absent };
        match Word::parse(value) {
            Some(word) => Self::Word(word),
            None => Self::Unclear(Quote::beginning(value, Quote::LONGEST)),
        }
    }

    /// Completes the verdict of a response that passed, with the share of its weight that the server asks for. An unclear
    /// value changes nothing, so that an earlier word stays in force.
    pub(super) fn complete(&self, header: &str, (code, detail): Finding) -> (Finding, Option<Share>) {
        match self {
            Self::Absent => ((code, detail), Some(Share::WHOLE)),
            Self::Word(Word::Serves(Share::WHOLE)) => ((code, detail), Some(Share::WHOLE)),
            Self::Word(Word::Serves(share)) => {
                ((code, format_compact!("{detail}, {header}: {share}")), Some(*share))
            }
            Self::Word(Word::Down) => ((ProbeCode::L7Sts, format_compact!("{detail}, {header}: down")), None),
            Self::Unclear(quote) => {
                let found = format_compact!(
                    "{detail}, {header} ignored: {quote} is not up, drain, down or a percentage to 100%"
                );
                ((code, found), None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
