//! Diagnostics of a configuration, in the style of a compiler's.

use std::fmt;

use super::characters::is_invisible;

/// Severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is legal but questionable.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// An error or a warning. Displays on several lines, without a line break at the end:
///
/// ```text
/// maglev.yaml:7:15: error: `address` of backend `web1` is `10.0.0`, which is not an IP address
///   |
/// 7 |       address: 10.0.0
///   |                ^^^^^^
///   = help: write it like `192.0.2.1` or `2001:db8::1`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the file, as given by the user.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What is expected.
    pub help: Option<String>,
    /// The line of the alias or merge that copies this place.
    pub used_on: Option<usize>,
    /// The line itself, or a part of a long one.
    pub excerpt: Excerpt,
}

impl Diagnostic {
    /// The diagnostic on one line, for logs: `maglev.yaml:7:15: warning: what was found (what would be
    /// right)`.
    pub fn summary(&self) -> String {
        let Diagnostic { file, line, column, severity, message, .. } = self;
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{file}:{line}:{column}: {severity}: {message}{help}")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, line, column, severity, message, .. } = self;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", self.excerpt.text)?;
        write!(f, "{gutter} | {}{}", self.excerpt.indent, "^".repeat(self.excerpt.width))?;
        if let Some(used_on) = self.used_on {
            write!(f, "\n{gutter} = note: an alias or a merge uses it on line {used_on}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

/// A line of the file, safe for a terminal, with the marked part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without control characters and invisible ones; of a long line only the part around the
    /// position.
    pub text: String,
    /// White space as wide as the text before the position.
    pub indent: String,
    /// Characters to mark, at least 1.
    pub width: usize,
}

impl Excerpt {
    /// Longer lines are shown in part, in characters. A whole configuration may be on one line, since JSON is
    /// YAML.
    const LONGEST: usize = 160;

    /// The excerpt of a line, with the position at a column counted from 1.
    pub(super) fn new(line: &str, column: usize, width: usize) -> Excerpt {
        let before = column.saturating_sub(1);
        let skipped = if line.chars().nth(Self::LONGEST).is_none() {
            0
        } else {
            before.saturating_sub(Self::LONGEST / 2)
        };
        let mut text = String::new();
        let mut indent = String::new();
        if skipped > 0 {
            text.push('…');
            indent.push(' ');
        }
        let mut rest = line.chars().skip(skipped);
        let mut shown = skipped;
        for char in rest.by_ref().take(Self::LONGEST) {
            // Tabs stay in both lines, so that the mark is aligned whatever their width.
            let shown_as_it_is = char == '\t' || !(char.is_control() || is_invisible(char));
            text.push(if shown_as_it_is { char } else { '\u{fffd}' });
            if shown < before {
                indent.push(if char == '\t' { '\t' } else { ' ' });
            }
            shown += 1;
        }
        let width = width.min(shown.saturating_sub(before)).max(1);
        if rest.next().is_some() {
            text.push('…');
        }
        Excerpt { text, indent, width }
    }
}

/// Kind of failure, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is not YAML, or has a key that does not exist, or a value of the wrong type.
    NotParseable,
    /// It is well-formed, but breaks a rule.
    NotValid,
}

/// Why a configuration is refused. Displays all diagnostics, and a summary on the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// Kind of failure.
    pub class: Class,
    /// All diagnostics in the order of the file, at least one of them an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Errors {
    /// Exit code of `--check`: 1 if the file could not be parsed, 2 if it is not valid.
    pub fn exit_code(&self) -> u8 {
        match self.class {
            Class::NotParseable => 1,
            Class::NotValid => 2,
        }
    }

    /// Number of diagnostics with this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}\n")?;
        }
        let counted =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(f, "{}", counted(self.count(Severity::Error), "error"))?;
        match self.count(Severity::Warning) {
            0 => Ok(()),
            warnings => write!(f, ", {}", counted(warnings, "warning")),
        }
    }
}

impl std::error::Error for Errors {}
