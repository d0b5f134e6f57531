//! Completion and help from the tree and the live names.

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

    /// Asks maglev-brain only if names can stand there.
    fn names(&self, text: &str) -> Arc<Names> {
        follow::wanted(&self.tree, text).map(|list| self.live.names(list)).unwrap_or_default()
    }

    /// What Tab makes of a line, with the cursor here, in bytes.
    pub(crate) fn complete(&self, line: &str, cursor: usize) -> Completed {
        let (Some(text), Some(rest)) = (line.get(..cursor), line.get(cursor..)) else {
            return Completed::Nothing;
        };
        let Completion { start, words } = follow::complete(&self.tree, line, cursor, &self.names(text));
        completed(start, &words, text.get(start..).unwrap_or_default(), rest)
    }

    /// What the last word of a line can become.
    pub(crate) fn words(&self, line: &str) -> Vec<String> {
        follow::complete(&self.tree, line, line.len(), &self.names(line)).words
    }

    /// What can follow behind this text.
    pub(crate) fn follow(&self, text: &str) -> Result<Following, Misstep> {
        follow::follow(&self.tree, text, &self.names(text))
    }
}

/// What becomes of the word at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    /// From `start` on, in bytes, it becomes this.
    Word { start: usize, text: String },
    /// It can become several words, which have no more in common than was typed.
    Several,
    /// Nothing is known that it can become.
    Nothing,
}

fn completed(start: usize, words: &[String], typed: &str, rest: &str) -> Completed {
    match words {
        [] => Completed::Nothing,
        // Only what stays alone is complete, and ends with a space: a common beginning has none.
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
