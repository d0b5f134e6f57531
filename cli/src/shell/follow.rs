//! What can follow in a line, for Tab and `?`.

use clap::{Arg, Command};

use crate::shell::events::{self, Expected};
use crate::shell::names::{self, List, Names};
use crate::shell::remarks;
use crate::shell::walk::{Misstep, Next, Walk, is_about_itself, walk};
use crate::shell::words::{Line, Tail, split};
use crate::tree::{self, Kind};

/// Maximum number of names listed.
pub(crate) const LISTED: usize = 100;

/// Completions of the word at the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Start of the word, in bytes.
    pub(crate) start: usize,
    /// All completions of the word.
    pub(crate) words: Vec<String>,
}

/// What can follow, with help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Following {
    /// Words and placeholders, each with its help.
    pub(crate) words: Vec<(String, String)>,
    /// Names for the placeholder, sorted; at most [`LISTED`].
    pub(crate) names: Vec<String>,
    /// Number of names omitted.
    pub(crate) more_names: usize,
}

/// The list of names that can occur at the end of this text.
pub(crate) fn wanted(root: &Command, text: &str) -> Option<List> {
    let place = Place::at_end_of(root, text).ok()??;
    names::list(place.kind()?)
}

/// Completions of the word at the cursor. `cursor` is in bytes.
pub(crate) fn complete(root: &Command, line: &str, cursor: usize, names: &Names) -> Completion {
    let text = line.get(..cursor).unwrap_or(line);
    let Ok(Some(place)) = Place::at_end_of(root, text) else { return Completion::default() };
    let mut words: Vec<String> = place.words().into_iter().map(|(word, _)| word).collect();
    words.extend(place.names(names).into_iter().map(str::to_owned));
    Completion { start: place.start, words }
}

/// What can follow this text, or complete its last word.
pub(crate) fn follow(root: &Command, text: &str, names: &Names) -> Result<Following, Misstep> {
    let Some(place) = Place::at_end_of(root, text)? else { return Ok(Following::default()) };
    let mut words = place.words();
    if let (true, Some(placeholder)) = (words.is_empty(), place.placeholder()) {
        words.push(placeholder);
    }
    if place.typed.is_empty() && place.may_end() && !place.walk.path.is_empty() {
        words.push(("<Enter>".to_owned(), "do it".to_owned()));
    }
    let all = place.names(names);
    let more_names = all.len().saturating_sub(LISTED);
    let names = all.into_iter().take(LISTED).map(str::to_owned).collect();
    Ok(Following { words, names, more_names })
}

/// Position of the next word.
struct Place<'t> {
    walk: Walk<'t>,
    /// The part of the word already typed.
    typed: String,
    start: usize,
}

impl<'t> Place<'t> {
    /// `None` in a comment.
    fn at_end_of(root: &'t Command, text: &str) -> Result<Option<Self>, Misstep> {
        let Line { mut words, tail } = split(text);
        let begun = match tail {
            Tail::Comment => return Ok(None),
            Tail::Space => None,
            Tail::Word | Tail::Open(_) => words.pop(),
        };
        let (typed, start) = begun.map_or((String::new(), text.len()), |word| (word.text, word.start));
        Ok(Some(Self { walk: walk(root, &words)?, typed, start }))
    }

    fn arg(&self) -> Option<&'t Arg> {
        match self.walk.next {
            Next::Argument(arg) | Next::Value(arg) => Some(arg),
            Next::Word | Next::Nothing => None,
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self.walk.next {
            Next::Argument(arg) => match self.event() {
                Some(event) => event.names,
                None => tree::kind(&self.walk.path, arg),
            },
            Next::Word | Next::Value(_) | Next::Nothing => None,
        }
    }

    /// What is expected where words come in any order; `None` elsewhere.
    fn event(&self) -> Option<Expected> {
        let Next::Argument(arg) = self.walk.next else { return None };
        // Those of this argument, which takes all words from here on.
        let given = self.walk.given.iter().filter(|(of, _)| of.get_id() == arg.get_id());
        let given = given.map(|(_, text)| text.as_str());
        match tree::kind(&self.walk.path, arg)? {
            Kind::EventWord => Some(events::expected(given)),
            Kind::RemarkWord(parts) => Some(remarks::expected(given, parts)),
            _ => None,
        }
    }

    fn may_end(&self) -> bool {
        self.walk.is_complete() && self.event().is_none_or(|event| event.may_end)
    }

    /// Words and options with the typed beginning, and their help.
    fn words(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = match self.walk.next {
            Next::Word => tree::words(self.walk.command).map(named).collect(),
            Next::Argument(arg) | Next::Value(arg) => self.values(arg),
            Next::Nothing => Vec::new(),
        };
        if !self.walk.only_arguments && !matches!(self.walk.next, Next::Value(_)) {
            // Options valid in every line are offered only once an option is begun.
            let options = self.walk.options().filter(|option| {
                self.typed.starts_with('-') || !option.is_global_set() && !is_about_itself(option)
            });
            found.extend(
                options.filter_map(|option| Some((format!("--{}", option.get_long()?), help(option)))),
            );
        }
        found.retain(|(word, _)| word.starts_with(&self.typed));
        found
    }

    fn values(&self, arg: &Arg) -> Vec<(String, String)> {
        if let Some(event) = self.event() {
            let owned = |(word, help): (&str, &str)| (word.to_owned(), help.to_owned());
            return event.words.into_iter().map(owned).collect();
        }
        let values = arg.get_possible_values();
        let is_alone = values.len() == 1;
        let about = |own: Option<String>| own.or_else(|| is_alone.then(|| self.help_of(arg)));
        let line = |value: clap::builder::PossibleValue| {
            let own = value.get_help().map(ToString::to_string);
            (value.get_name().to_owned(), about(own).unwrap_or_default())
        };
        values.into_iter().map(line).collect()
    }

    /// A word that only introduces an argument shows that argument's help.
    fn help_of(&self, arg: &Arg) -> String {
        if !arg.is_hide_set() {
            return help(arg);
        }
        let mut later =
            self.walk.command.get_positionals().skip_while(|other| other.get_id() != arg.get_id());
        later.find(|other| !other.is_hide_set()).map(help).unwrap_or_default()
    }

    /// `<NAME>`, and its description.
    fn placeholder(&self) -> Option<(String, String)> {
        if let Some(event) = self.event() {
            return event.placeholder.map(|(word, help)| (word.to_owned(), help.to_owned()));
        }
        let arg = self.arg().filter(|arg| arg.get_possible_values().is_empty())?;
        let name = arg.get_value_names().and_then(|names| names.first());
        Some((format!("<{}>", name.map_or(arg.get_id().as_str(), |name| name.as_str())), help(arg)))
    }

    fn names<'n>(&self, names: &'n Names) -> Vec<&'n str> {
        let Some(kind) = self.kind() else { return Vec::new() };
        let mut found = names.of(kind, &self.walk);
        found.retain(|name| name.starts_with(&self.typed));
        found
    }
}

fn named(word: &Command) -> (String, String) {
    (word.get_name().to_owned(), word.get_about().map(ToString::to_string).unwrap_or_default())
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
