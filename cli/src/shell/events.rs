//! Completion of `watch events`, whose words may be in any order and therefore are not in the command tree.

use crate::args::watch::{LEVELS, PARTS};
use crate::args::words::only_one;
use crate::tree::Kind;

/// Possible next words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Fixed words with their help.
    pub(crate) words: Vec<(&'static str, &'static str)>,
    pub(crate) names: Option<Kind>,
    /// Placeholder for other words.
    pub(crate) placeholder: Option<(&'static str, &'static str)>,
    /// Whether the line may end here.
    pub(crate) may_end: bool,
}

/// The possibilities after these words of the filter.
pub(crate) fn expected<'w>(given: impl IntoIterator<Item = &'w str>) -> Expected {
    let mut behind = Behind::Part;
    for word in given {
        behind = behind.then(word);
    }
    let parts = || PARTS.iter().map(|part| (*part, help(part))).collect::<Vec<_>>();
    let names = |kind| Expected { words: parts(), names: Some(kind), may_end: true, ..Expected::default() };
    match behind {
        Behind::Part => Expected { words: parts(), may_end: true, ..Expected::default() },
        Behind::Num => {
            let placeholder = Some(("<N>", "how many events: a whole number above 0"));
            Expected { placeholder, ..Expected::default() }
        }
        Behind::Log => {
            let words = [(LEVEL, "minimum level (default: info)")].into_iter().chain(parts()).collect();
            Expected { words, may_end: true, ..Expected::default() }
        }
        Behind::Level => {
            let words = LEVELS.map(|(name, _)| (name, "")).to_vec();
            Expected { words, ..Expected::default() }
        }
        Behind::Backend => names(Kind::Backend),
        Behind::Frontend => names(Kind::Frontend),
    }
}

const LEVEL: &str = "level";

fn help(part: &str) -> &'static str {
    match part {
        "num" => "end after this many events",
        "log" => "include maglev-brain's log",
        "backend" => "backends, or one of them",
        "frontend" => "frontends, or one of them",
        "connections" => "the connections to the agent and to VPP",
        "configuration" => "reloads, and what operators set and take back",
        _ => "",
    }
}

/// The word that determines what can follow.
#[derive(Debug, Clone, Copy)]
enum Behind {
    Part,
    Num,
    Log,
    Level,
    Backend,
    Frontend,
}

impl Behind {
    fn then(self, word: &str) -> Self {
        match self {
            Self::Num | Self::Level => Self::Part,
            Self::Log if !word.is_empty() && LEVEL.starts_with(word) => Self::Level,
            Self::Backend | Self::Frontend if !PARTS.contains(&word) => Self::Part,
            Self::Part | Self::Log | Self::Backend | Self::Frontend => match only_one(word, &PARTS) {
                Some("num") => Self::Num,
                Some("log") => Self::Log,
                Some("backend") => Self::Backend,
                Some("frontend") => Self::Frontend,
                _ => Self::Part,
            },
        }
    }
}

#[cfg(test)]
mod tests;
