//! Words in any order at the end of a line, which clap takes as they are and a type of its own parses.

use std::ops::Deref;

use clap::builder::ValueRange;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

/// What such words mean together.
pub(crate) trait Parts: Sized {
    /// The words that begin a part, for the help.
    fn parts() -> &'static [&'static str];

    /// Parses all the words; an error is a sentence for the operator.
    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String>;
}

/// Takes all further words of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AnyOrder<T>(pub(crate) T);

impl<T> Deref for AnyOrder<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Parts> Args for AnyOrder<T> {
    fn augment_args(command: Command) -> Command {
        let help = format!("{}, in any order", T::parts().join(", "));
        command.arg(Arg::new("words").num_args(ValueRange::from(0..)).value_name("WORDS").help(help))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Parts> FromArgMatches for AnyOrder<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let words = matches.get_many::<String>("words").unwrap_or_default();
        let parsed = T::of(words.map(String::as_str));
        parsed.map(Self).map_err(|mistake| clap::Error::raw(ErrorKind::ValueValidation, mistake))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
