//! Follows the words of a line through the command tree.

use std::ops::Range;

use clap::{Arg, ArgAction, Command};

use crate::shell::words::Word;
use crate::tree::{self, Kind};

/// How far the words of a line lead.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'t> {
    /// The command reached.
    pub(crate) command: &'t Command,
    /// The words on the way there, unabbreviated.
    pub(crate) path: Vec<&'t str>,
    /// Arguments of `command`, with their values.
    pub(crate) given: Vec<(&'t Arg, String)>,
    /// What the next word is.
    pub(crate) next: Next<'t>,
    /// The line asks for help on `command`.
    pub(crate) asks_help: bool,
    /// It contains --help or --version.
    is_about_itself: bool,
    /// The line for clap, with unabbreviated words.
    pub(crate) line: Vec<String>,
    /// After `--`, nothing is an option.
    pub(crate) only_arguments: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Next<'t> {
    /// A subcommand of `command`.
    Word,
    Argument(&'t Arg),
    /// The value of an option.
    Value(&'t Arg),
    Nothing,
}

/// A word that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}")]
pub(crate) struct Misstep {
    pub(crate) wrong: Wrong,
    /// Its position in the line, in bytes.
    pub(crate) at: Range<usize>,
    /// The words expected there; empty if there are none.
    pub(crate) right: Vec<String>,
    /// The word that was probably meant.
    pub(crate) meant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("unknown word `{}`", crate::style::printable(.0))]
    Unknown(String),
    #[error("ambiguous word `{}`", crate::style::printable(.0))]
    Ambiguous(String),
    #[error("unexpected argument `{}`", crate::style::printable(.0))]
    TooMuch(String),
}

pub(crate) fn walk<'t>(root: &'t Command, words: &[Word]) -> Result<Walk<'t>, Misstep> {
    let mut walk = Walk {
        command: root,
        path: Vec::new(),
        given: Vec::new(),
        next: Next::Nothing,
        asks_help: false,
        is_about_itself: false,
        line: Vec::new(),
        only_arguments: false,
    };
    walk.next = walk.after();
    for word in words {
        let text = &word.text;
        let (wrong, right) = match walk.take(text) {
            Ok(()) => continue,
            Err((meant, right)) => (meant.wrong(text.clone()), right),
        };
        let meant = match wrong {
            Wrong::Unknown(_) => tree::meant(root, text, &right),
            Wrong::Ambiguous(_) | Wrong::TooMuch(_) => None,
        };
        return Err(Misstep { wrong, at: word.start..word.end, right, meant });
    }
    Ok(walk)
}

/// Why a word was not accepted.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Unknown,
    Ambiguous,
    TooMuch,
}

impl Refused {
    fn wrong(self, text: String) -> Wrong {
        match self {
            Self::Unknown => Wrong::Unknown(text),
            Self::Ambiguous => Wrong::Ambiguous(text),
            Self::TooMuch => Wrong::TooMuch(text),
        }
    }
}

type Taken = Result<(), (Refused, Vec<String>)>;

impl<'t> Walk<'t> {
    fn take(&mut self, text: &str) -> Taken {
        if let Next::Value(_) = self.next {
            self.line.push(text.to_owned());
            self.next = self.after();
            return Ok(());
        }
        if !self.only_arguments && text.starts_with('-') && text.len() > 1 {
            return self.take_option(text);
        }
        match self.next {
            Next::Word => self.take_word(text),
            Next::Argument(arg) => self.take_argument(arg, text),
            Next::Value(_) | Next::Nothing => Err((Refused::TooMuch, Vec::new())),
        }
    }

    fn take_word(&mut self, text: &str) -> Taken {
        let known = tree::words(self.command).map(|word| (word.get_name(), word));
        let word = meant(known, text)?;
        if self.path.is_empty() && word.get_name() == tree::HELP {
            self.asks_help = true;
        } else {
            self.command = word;
            self.path.push(word.get_name());
            self.line.push(word.get_name().to_owned());
        }
        self.next = self.after();
        Ok(())
    }

    fn take_argument(&mut self, arg: &'t Arg, text: &str) -> Taken {
        let mut text = text.to_owned();
        if tree::kind(&self.path, arg) == Some(Kind::Word) {
            let known = arg.get_possible_values();
            text = meant(known.iter().map(|value| (value.get_name(), value.get_name().to_owned())), &text)?;
        }
        self.line.push(text.clone());
        self.given.push((arg, text));
        self.next = self.after();
        Ok(())
    }

    fn take_option(&mut self, text: &str) -> Taken {
        self.line.push(text.to_owned());
        if text == "--" {
            self.only_arguments = true;
            return Ok(());
        }
        let (name, has_value) = text.split_once('=').map_or((text, false), |(name, _)| (name, true));
        let option = self.options().find(|option| spellings(option).any(|spelling| spelling == name));
        let Some(option) = option else {
            let right = self.options().filter_map(Arg::get_long).map(|long| format!("--{long}")).collect();
            return Err((Refused::Unknown, right));
        };
        self.is_about_itself |= is_about_itself(option);
        if option.get_action().takes_values() && !has_value {
            self.next = Next::Value(option);
        }
        Ok(())
    }

    /// Options allowed here.
    pub(crate) fn options(&self) -> impl Iterator<Item = &'t Arg> + use<'t> {
        self.command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set())
    }

    /// What follows once everything begun is complete.
    fn after(&self) -> Next<'t> {
        if tree::words(self.command).next().is_some() {
            return Next::Word;
        }
        // The last argument may take several values.
        let last = self.given.last().map(|(arg, _)| *arg);
        if let Some(arg) = last.filter(|arg| takes_several(arg)) {
            return Next::Argument(arg);
        }
        self.command.get_positionals().nth(self.given.len()).map_or(Next::Nothing, Next::Argument)
    }

    /// Whether the line may end here.
    pub(crate) fn is_complete(&self) -> bool {
        match self.next {
            Next::Word => self.is_about_itself,
            Next::Argument(arg) => {
                let is_repeated = self.given.last().is_some_and(|(last, _)| last.get_id() == arg.get_id());
                self.is_about_itself || !arg.is_required_set() || is_repeated
            }
            Next::Value(_) => false,
            Next::Nothing => true,
        }
    }

    /// The value of the argument with this name.
    pub(crate) fn given(&self, id: &str) -> Option<&str> {
        let (_, text) = self.given.iter().rev().find(|(arg, _)| arg.get_id() == id)?;
        Some(text)
    }
}

fn takes_several(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.max_values() > 1)
}

/// `--help` and `--version`.
pub(crate) fn is_about_itself(option: &Arg) -> bool {
    matches!(
        option.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

/// `--name` and `-n`.
fn spellings(option: &Arg) -> impl Iterator<Item = String> {
    let long = option.get_long().map(|name| format!("--{name}"));
    long.into_iter().chain(option.get_short().map(|name| format!("-{name}")))
}

/// The unique name that equals the typed text or begins with it.
fn meant<'n, T>(known: impl Iterator<Item = (&'n str, T)>, typed: &str) -> Result<T, (Refused, Vec<String>)> {
    let (mut begun, mut all) = (Vec::new(), Vec::new());
    for (name, item) in known {
        if name == typed {
            return Ok(item);
        }
        if name.starts_with(typed) && !typed.is_empty() {
            begun.push((name.to_owned(), item));
        }
        all.push(name.to_owned());
    }
    // `backend` is the one meant by its beginnings, not `backends`.
    let shortest =
        begun.iter().position(|(short, _)| begun.iter().all(|(name, _)| name.starts_with(short.as_str())));
    if let Some(shortest) = shortest {
        return Ok(begun.swap_remove(shortest).1);
    }
    match (begun.len(), begun.pop()) {
        (1, Some((_, item))) => Ok(item),
        (0, _) | (_, None) => Err((Refused::Unknown, all)),
        (_, Some((last, _))) => {
            let names = begun.into_iter().map(|(name, _)| name).chain([last]).collect();
            Err((Refused::Ambiguous, names))
        }
    }
}

#[cfg(test)]
mod tests;
