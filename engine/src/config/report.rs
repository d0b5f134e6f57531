//! Collects diagnostics while a configuration is read, so that all are reported at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::complaint::Complaint;
use super::diagnostic::{Class, Diagnostic, Errors, Excerpt, Severity};
use super::values::LONGEST_NAME;
use super::yaml::Place;

/// A position, for diagnostics after the text has been dropped.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    file: Arc<str>,
    place: Place,
    /// Shared by all positions on the line: a whole configuration may be on one.
    line: Arc<str>,
}

impl Spot {
    /// A diagnostic at this position.
    pub(super) fn diagnostic(&self, severity: Severity, message: String, help: Option<String>) -> Diagnostic {
        diagnostic(&self.file, self.place, &self.line, severity, message, help)
    }
}

fn diagnostic(
    file: &str,
    place: Place,
    line: &str,
    severity: Severity,
    message: String,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        severity,
        message,
        help,
        used_on: place.used_on,
        excerpt: Excerpt::new(line, place.column, place.width),
    }
}

/// The diagnostics so far.
pub(super) struct Report<'t> {
    file: &'t str,
    lines: Vec<&'t str>,
    diagnostics: Vec<Diagnostic>,
    class: Option<Class>,
    /// Number of names that may still be compared in search of a likely typo.
    comparisons_left: usize,
}

impl<'t> Report<'t> {
    /// A comparison takes about a microsecond; a file with 50,000 wrong names must not take an hour to
    /// refuse.
    const COMPARISONS: usize = 1_000_000;

    pub(super) fn new(file: &'t str, text: &'t str) -> Report<'t> {
        Report {
            file,
            lines: lines(text),
            diagnostics: Vec::new(),
            class: None,
            comparisons_left: Self::COMPARISONS,
        }
    }

    /// A broken rule.
    pub(super) fn invalid(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.error(Class::NotValid, place, message.into(), Some(help.into()));
    }

    /// An unknown key, or a value of the wrong type.
    pub(super) fn malformed(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.error(Class::NotParseable, place, message.into(), help.into());
    }

    /// A value that a reader rejected; `subject` begins the sentence.
    pub(super) fn complaint(&mut self, place: Place, subject: &str, complaint: Complaint) {
        let class = if complaint.malformed { Class::NotParseable } else { Class::NotValid };
        self.error(class, place, format!("{subject} {}", complaint.found), Some(complaint.help));
    }

    /// A legal but questionable setting.
    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, place, message.into(), Some(help.into()));
    }

    fn error(&mut self, class: Class, place: Place, message: String, help: Option<String>) {
        // The worse kind of failure stays.
        self.class = Some(self.class.map_or(class, |before| before.min(class)));
        self.push(Severity::Error, place, message, help);
    }

    fn push(&mut self, severity: Severity, place: Place, message: String, help: Option<String>) {
        self.diagnostics.push(diagnostic(self.file, place, self.line(place), severity, message, help));
    }

    fn line(&self, place: Place) -> &'t str {
        self.lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Whether there is no error so far.
    pub(super) fn is_valid(&self) -> bool {
        self.class.is_none()
    }

    /// Keeps these positions after the text is dropped, by their names.
    pub(super) fn spots(&self, places: impl Iterator<Item = (String, Place)>) -> BTreeMap<String, Spot> {
        let file: Arc<str> = Arc::from(self.file);
        let mut lines: BTreeMap<usize, Arc<str>> = BTreeMap::new();
        let spots = places.map(|(name, place)| {
            let line = lines.entry(place.line).or_insert_with(|| Arc::from(self.line(place)));
            (name, Spot { file: Arc::clone(&file), place, line: Arc::clone(line) })
        });
        spots.collect()
    }

    /// The name that was probably meant, if one is similar enough.
    pub(super) fn nearest<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        // Comparing takes memory in proportion to the length, and no valid name is this long.
        if wrong.len() > 4 * LONGEST_NAME {
            return None;
        }
        // A third of the letters may differ; beyond that, a suggestion is a guess.
        let tolerance = match wrong.chars().count() {
            1 => 0,
            letters => (letters / 3).max(1),
        };
        let mut best = None;
        for name in names {
            if self.comparisons_left == 0 {
                break;
            }
            self.comparisons_left -= 1;
            if name.len().abs_diff(wrong.len()) > tolerance * 4 {
                continue;
            }
            let distance = strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
            if distance <= tolerance && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, name));
            }
        }
        best.map(|(_, name)| name)
    }

    /// All diagnostics in the order of the file: warnings only, or the reasons for refusing it.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Errors> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column, diagnostic.severity));
        self.diagnostics.dedup();
        match self.class {
            None => Ok(self.diagnostics),
            Some(class) => Err(Errors { class, diagnostics: self.diagnostics }),
        }
    }
}

/// Lines by YAML's rules: a line ends with LF, CR LF or CR.
fn lines(text: &str) -> Vec<&str> {
    text.trim_start_matches('\u{feff}')
        .split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        .collect()
}
