//! Command words between names, which may be abbreviated like any other.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};

/// Action on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// No probes, no new flows; existing flows are left to finish (drain)
    Pause,
    /// End a pause
    Resume,
    /// Put into service, even if disabled in the configuration
    Enable,
    /// Take out of service at once; its flows move to others
    Disable,
}

/// What selects several backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SelectBy {
    /// A label, such as rack=r1
    Label,
    /// An address
    Host,
}

/// Protocol of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// A shell for which there is a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScriptFor {
    Bash,
    Zsh,
    Fish,
}

/// A fixed word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyword;

/// Parses one of several words, and lists them for completion.
#[derive(Clone)]
pub(super) struct Words<F> {
    words: Vec<PossibleValue>,
    parse: F,
}

impl<F, T> TypedValueParser for Words<F>
where
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().cloned()))
    }
}

/// The word that this is, or is the unambiguous beginning of.
pub(crate) fn only_one<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let mut meant = words.iter().filter(|word| !text.is_empty() && word.starts_with(text));
    match (meant.next(), meant.next()) {
        (Some(word), None) => Some(word),
        _ => words.iter().find(|word| **word == text).copied(),
    }
}

type Parse<T> = fn(&str) -> Result<T, String>;

/// Accepts this word and its beginnings.
pub(super) fn keyword(word: &'static str) -> Words<impl Fn(&str) -> Result<Keyword, String> + Clone> {
    let parse = move |text: &str| {
        let is_meant = !text.is_empty() && word.starts_with(text);
        if is_meant { Ok(Keyword) } else { Err(format!("expected the word `{word}`")) }
    };
    Words { words: vec![PossibleValue::new(word)], parse }
}

/// Accepts one of these words, or an unambiguous beginning.
pub(super) fn one_of<E: ValueEnum>() -> Words<Parse<E>> {
    let words = E::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    Words { words, parse: one_meant::<E> }
}

fn one_meant<E: ValueEnum>(text: &str) -> Result<E, String> {
    let named = |value: &E| value.to_possible_value().map(|named| named.get_name().to_owned());
    let meant = |value: &&E| named(value).is_some_and(|word| !text.is_empty() && word.starts_with(text));
    let mut found = E::value_variants().iter().filter(meant);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value.clone()),
        _ => {
            let words: Vec<_> = E::value_variants().iter().filter_map(named).collect();
            Err(format!("expected one of: {}", words.join(", ")))
        }
    }
}
