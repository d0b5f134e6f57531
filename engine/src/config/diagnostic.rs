//! What is wrong with a configuration, told as a good compiler tells it.

use std::fmt;

use super::characters::is_invisible;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is legal, but doubtful.
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

/// One finding. Displays on several lines, without a line break at the end:
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
    /// Name of the file, as it was given.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line that an alias or a merge copies this place to.
    pub used_on: Option<usize>,
    /// The line itself, or a window of a long one.
    pub excerpt: Excerpt,
}

impl Diagnostic {
    /// The finding on one line, for logs: `maglev.yaml:7:15: warning: what was found (what would be right)`.
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

/// A line of the file, fit for a terminal, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without control characters and invisible ones; of a long line only the part around the place.
    pub text: String,
    /// White space as wide as what stands before the place.
    pub indent: String,
    /// Characters to mark, at least 1.
    pub width: usize,
}

impl Excerpt {
    /// Lines longer than this many characters are shown in part. A whole configuration may stand on one line,
    /// since JSON is YAML.
    const LONGEST: usize = 160;

    /// Shows the line, with the place at a column counted from 1.
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
            // Tabs stay in both lines, so that the mark lands below its place whatever their width.
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

/// How far a refused configuration got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is not YAML, or has a key that does not exist, or a value of the wrong type.
    NotParseable,
    /// It has the right shape, and breaks a rule.
    NotValid,
}

/// Why a configuration is refused. Displays every finding, and a summary on the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// How far it got.
    pub class: Class,
    /// At least one error, and all warnings besides; in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Errors {
    /// The exit code that `--check` ends with: 1 if it could not be parsed, 2 if it is not valid.
    pub fn exit_code(&self) -> u8 {
        match self.class {
            Class::NotParseable => 1,
            Class::NotValid => 2,
        }
    }

    /// How many findings are of this severity.
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
