//! Colours.

use std::borrow::Cow;
use std::ffi::OsStr;

pub(crate) use maglev_proto::client::{printable, printable_json, printable_lines};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    Auto,
    #[value(alias = "true")]
    Always,
    #[value(alias = "false")]
    Never,
}

/// Meaning of a text, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Warning,
    Bad,
    Faint,
}

/// Whether to use colours, and the width of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    colored: bool,
    width: Option<usize>,
}

impl Palette {
    pub(crate) const fn of(colored: bool) -> Self {
        Self { colored, width: None }
    }

    /// The same with this many columns; `None` for no limit.
    pub(crate) const fn within(self, width: Option<usize>) -> Self {
        Self { width, ..self }
    }

    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
    }

    /// `no_color` and `term` are the values of NO_COLOR and TERM. By no-color.org, an empty NO_COLOR counts
    /// as unset, and an explicit `always` takes precedence.
    pub(crate) fn choose(
        color: Color,
        stdout_is_terminal: bool,
        no_color: Option<&OsStr>,
        term: Option<&OsStr>,
    ) -> Self {
        let wanted = no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb");
        Self::of(match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stdout_is_terminal && wanted,
        })
    }

    pub(crate) fn paint<'a>(&self, tone: Tone, text: &'a str) -> Cow<'a, str> {
        let code = match tone {
            Tone::Plain => return Cow::Borrowed(text),
            Tone::Heading => 1,
            Tone::Good => 32,
            Tone::Warning => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
        };
        if self.colored && !text.is_empty() {
            Cow::Owned(format!("\x1b[{code}m{text}\x1b[0m"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

#[cfg(test)]
mod tests;
