//! Colours, and sanitizing text for a terminal.

use std::borrow::Cow;
use std::ffi::OsStr;

/// When to use colour.
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

/// Escapes control characters. Details of a check may contain what a backend sent, which must not control the
/// operator's terminal, break a table's line, or reverse its text.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Escapes unsafe characters in a JSON document's strings. JSON allows some of them unescaped; its meaning
/// does not change.
pub(crate) fn printable_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        if is_hostile(c) && c != '\n' {
            // All of these characters have a single UTF-16 unit.
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, line and paragraph separators, and the explicit directional characters of Unicode's bidirectional
/// algorithm (UAX 9, table 4).
fn is_hostile(c: char) -> bool {
    let turns_words_around =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_words_around || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The same for a text of several lines, keeping its line breaks.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
