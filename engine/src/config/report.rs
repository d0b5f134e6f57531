//! Collects findings while a configuration is read, so that all are told at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::complaint::Complaint;
use super::diagnostic::{Class, Diagnostic, Errors, Excerpt, Severity};
use super::values::LONGEST_NAME;
use super::yaml::Place;

/// Where something stands, for findings after the text is gone.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    file: Arc<str>,
    place: Place,
    /// Shared by all that stands on it: a whole configuration may.
    line: Arc<str>,
}

impl Spot {
    /// A finding here.
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

/// The findings so far.
pub(super) struct Report<'t> {
    file: &'t str,
    lines: Vec<&'t str>,
    diagnostics: Vec<Diagnostic>,
    class: Option<Class>,
    /// How many more names may be compared in search of the one that was meant.
    comparisons_left: usize,
}

impl<'t> Report<'t> {
    /// Comparisons cost about a microsecond; a file with 50,000 wrong names must not take an hour to refuse.
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

    /// A wrong shape: an unknown key, or the wrong kind of value.
    pub(super) fn malformed(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.error(Class::NotParseable, place, message.into(), help.into());
    }

    /// A value that a reader refused; `subject` begins the sentence.
    pub(super) fn complaint(&mut self, place: Place, subject: &str, complaint: Complaint) {
        let class = if complaint.malformed { Class::NotParseable } else { Class::NotValid };
        self.error(class, place, format!("{subject} {}", complaint.found), Some(complaint.help));
    }

    /// A legal but doubtful setting.
    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, place, message.into(), Some(help.into()));
    }

    fn error(&mut self, class: Class, place: Place, message: String, help: Option<String>) {
        // A file of the wrong shape stays one, whatever else is wrong with it.
        self.class = Some(self.class.map_or(class, |before| before.min(class)));
        self.push(Severity::Error, place, message, help);
    }

    fn push(&mut self, severity: Severity, place: Place, message: String, help: Option<String>) {
        self.diagnostics.push(diagnostic(self.file, place, self.line(place), severity, message, help));
    }

    fn line(&self, place: Place) -> &'t str {
        self.lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Whether no error was found so far.
    pub(super) fn is_valid(&self) -> bool {
        self.class.is_none()
    }

    /// Keeps these places beyond the text, by what stands there.
    pub(super) fn spots(&self, places: impl Iterator<Item = (String, Place)>) -> BTreeMap<String, Spot> {
        let file: Arc<str> = Arc::from(self.file);
        let mut lines: BTreeMap<usize, Arc<str>> = BTreeMap::new();
        let spots = places.map(|(name, place)| {
            let line = lines.entry(place.line).or_insert_with(|| Arc::from(self.line(place)));
            (name, Spot { file: Arc::clone(&file), place, line: Arc::clone(line) })
        });
        spots.collect()
    }

    /// The one of `names` that was most likely meant, if one is close enough.
    pub(super) fn nearest<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        // Comparing costs memory in proportion to the length, and no name is as long.
        if wrong.len() > 4 * LONGEST_NAME {
            return None;
        }
        // A third of the letters may differ, so that no suggestion is further off than a guess.
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

    /// All findings in the order of the file: warnings only, or why it is refused.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Errors> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column, diagnostic.severity));
        self.diagnostics.dedup();
        match self.class {
            None => Ok(self.diagnostics),
            Some(class) => Err(Errors { class, diagnostics: self.diagnostics }),
        }
    }
}

/// Lines by YAML's rules: a break is LF, CR LF or CR.
fn lines(text: &str) -> Vec<&str> {
    text.trim_start_matches('\u{feff}')
        .split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        .collect()
}
