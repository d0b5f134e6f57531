//! Completion and help from the command tree and live names.

use std::sync::Arc;

use clap::Command;

use crate::shell::follow::{self, Completion, Following};
use crate::shell::live::Live;
use crate::shell::names::Names;
use crate::shell::walk::Misstep;

pub(crate) struct Assistant {
    pub(crate) tree: Command,
    live: Live,
}

impl Assistant {
    pub(crate) fn new(tree: Command, live: Live) -> Self {
        Self { tree, live }
    }

    /// Asks maglev-brain only if a name can follow.
    fn names(&self, text: &str) -> Arc<Names> {
        follow::wanted(&self.tree, text).map(|list| self.live.names(list)).unwrap_or_default()
    }

    /// Effect of Tab on a line with this cursor position, in bytes.
    pub(crate) fn complete(&self, line: &str, cursor: usize) -> Completed {
        let (Some(text), Some(rest)) = (line.get(..cursor), line.get(cursor..)) else {
            return Completed::Nothing;
        };
        let Completion { start, words } = follow::complete(&self.tree, line, cursor, &self.names(text));
        completed(start, &words, text.get(start..).unwrap_or_default(), rest)
    }

    /// Completions of the last word of a line.
    pub(crate) fn words(&self, line: &str) -> Vec<String> {
        follow::complete(&self.tree, line, line.len(), &self.names(line)).words
    }

    /// What can follow this text.
    pub(crate) fn follow(&self, text: &str) -> Result<Following, Misstep> {
        follow::follow(&self.tree, text, &self.names(text))
    }
}

/// Completion of the word at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    /// Replaces the word, which begins at `start`, in bytes.
    Word { start: usize, text: String },
    /// Several completions, with no longer common prefix than was typed.
    Several,
    /// No completion is known.
    Nothing,
}

fn completed(start: usize, words: &[String], typed: &str, rest: &str) -> Completed {
    match words {
        [] => Completed::Nothing,
        // Only a unique completion is final and ends with a space; a common prefix does not.
        [word] => {
            let end = if rest.starts_with(char::is_whitespace) { "" } else { " " };
            Completed::Word { start, text: format!("{word}{end}") }
        }
        [first, others @ ..] => {
            let common = others.iter().fold(first.as_str(), |common, word| {
                let same = common.char_indices().zip(word.chars()).find(|((_, a), b)| a != b);
                let end = same.map_or(common.len().min(word.len()), |((at, _), _)| at);
                common.get(..end).unwrap_or_default()
            });
            match common.len() > typed.len() {
                true => Completed::Word { start, text: common.to_owned() },
                false => Completed::Several,
            }
        }
    }
}

#[cfg(test)]
mod tests;
