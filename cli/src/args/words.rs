//! Words of a command that stand between names, and may be shortened as all others.

use clap::ValueEnum;

/// What is done to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Pause,
    Resume,
    Enable,
    Disable,
}

/// A word that was found in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyword;

/// Takes this word and what it begins with.
pub(super) fn keyword(word: &'static str) -> impl Fn(&str) -> Result<Keyword, String> + Clone + Send + Sync {
    move |text| {
        let is_meant = !text.is_empty() && word.starts_with(text);
        if is_meant { Ok(Keyword) } else { Err(format!("the word `{word}` belongs here")) }
    }
}

/// The one of these words that it is, or that alone begins with it.
pub(super) fn only_one<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let mut meant = words.iter().filter(|word| !text.is_empty() && word.starts_with(text));
    match (meant.next(), meant.next()) {
        (Some(word), None) => Some(word),
        _ => words.iter().find(|word| **word == text).copied(),
    }
}

/// Takes one of these words, or what it alone begins with.
pub(super) fn one_of<E: ValueEnum>(text: &str) -> Result<E, String> {
    let named = |value: &E| value.to_possible_value().map(|named| named.get_name().to_owned());
    let meant = |value: &&E| named(value).is_some_and(|word| !text.is_empty() && word.starts_with(text));
    let mut found = E::value_variants().iter().filter(meant);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value.clone()),
        _ => {
            let words: Vec<_> = E::value_variants().iter().filter_map(named).collect();
            Err(format!("it must be one of {}", words.join(", ")))
        }
    }
}
