//! Completion and help from the tree and the live names.

use std::sync::Arc;

use clap::Command;

use crate::shell::follow::{self, Completion, Following, LISTED};
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

    /// Where the word at the cursor begins, and what it can become: to be shown, and to be put in its place.
    pub(crate) fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<(String, String)>) {
        let (Some(text), Some(rest)) = (line.get(..cursor), line.get(cursor..)) else {
            return (cursor, Vec::new());
        };
        let Completion { start, words } = follow::complete(&self.tree, line, cursor, &self.names(text));
        (start, candidates(words, text.get(start..).unwrap_or_default(), rest))
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

/// For a list that is neither too long for a screen nor beyond the 65,535 that the line editor can count. What
/// is left out must not make the editor take the rest's common beginning for that of all.
fn candidates(words: Vec<String>, typed: &str, rest: &str) -> Vec<(String, String)> {
    if words.len() > LISTED {
        let common = words.iter().skip(1).fold(words.first().map_or("", String::as_str), |common, word| {
            let same = common.char_indices().zip(word.chars()).find(|((_, a), b)| a != b);
            let end = same.map_or(common.len().min(word.len()), |((at, _), _)| at);
            common.get(..end).unwrap_or_default()
        });
        if common.len() > typed.len() {
            return vec![(common.to_owned(), common.to_owned())];
        }
        let left_out = words.len() - LISTED;
        let more = (format!("... and {left_out} more"), typed.to_owned());
        let shown = words.into_iter().take(LISTED).map(|word| (word.clone(), word));
        return shown.chain([more]).collect();
    }
    // Only what stays alone is complete, and ends with a space: a common beginning has none.
    let end = if rest.starts_with(char::is_whitespace) { "" } else { " " };
    words.into_iter().map(|word| (word.clone(), format!("{word}{end}"))).collect()
}

#[cfg(test)]
mod tests;
