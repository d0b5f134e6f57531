//! The configuration file: YAML -> tree -> drafts -> validated [`Config`].
//!
//! [`parse`] is pure, and reports all mistakes of a text at once: `yaml` builds a tree; `section` and the
//! readers in `values`, `addresses` and `http_values` extract values from it; one module for each part of the
//! file builds drafts; and `rules` checks the drafts against each other. The caller reads the files.

mod addresses;
mod announce;
mod backend;
mod ca_file;
mod changes;
mod characters;
mod check_model;
mod check_type;
mod complaint;
mod diagnostic;
mod difference;
mod fleet;
mod frontend;
mod healthcheck;
mod http_values;
mod lints;
mod min_up;
mod model;
mod pattern;
mod payload;
mod protocols;
pub(crate) mod references;
mod report;
mod require;
mod rules;
mod schema;
mod section;
mod settings;
mod stability;
mod values;
mod via;
mod webhook;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use changes::{BackendChanges, Changes, FrontendChanges, FrontendDiff, NamedChanges, Rename, changes};
pub(crate) use characters::is_deceptive;
pub use check_model::{
    AgentLine, DnsCheck, DnsTransport, Exchange, Expect, GrpcCheck, ProxyVersion, rcode_name,
};
pub use diagnostic::{Class, Diagnostic, Errors, Excerpt, Severity};
pub use difference::{Difference, differences};
pub use frontend::MOST_BUCKETS;
pub use min_up::{MinUp, NotMinUp};
pub use model::{
    Announce, Backend, Bird, CaFile, CheckKind, Config, FleetHealth, Frontend, HealthCheck, HealthChecker,
    HttpCheck, HttpMethod, Last, LbSettings, Pool, Ports, Router, Service, StatusCodes, TlsCheck, Url, Via,
    Webhook, WhenVppAway,
};
pub use pattern::Pattern;
pub use require::Require;
pub use schema::{schema, schema_text};
pub use stability::{Damping, GuardRule};
pub use values::{LONGEST_NAME, is_name};

pub use maglev_tls::authorities::Authorities;

use ca_file::CaFiles;
use report::{Report, Spot};
use section::Section;
use yaml::{Entry, Node, Place, Value};

/// Keys below `maglev:`.
const MAGLEV_KEYS: &[&str] = &[
    "announce",
    "backends",
    "bird",
    "fleet",
    "frontends",
    "healthchecker",
    "healthchecks",
    "router",
    "vpp",
    "webhooks",
];

/// A valid configuration with its warnings.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Legal but questionable settings, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// The system's authorities, once they are read.
    pub system: Option<Arc<Authorities>>,
    spots: BTreeMap<String, Spot>,
}

/// Key under which `spots` has the first check or webhook that trusts the system's authorities: no frontend has
/// this name.
const OF_SYSTEM: &str = "";

impl Loaded {
    /// Whether a check or a webhook trusts the system's authorities.
    pub fn trusts_system(&self) -> bool {
        self.spots.contains_key(OF_SYSTEM)
    }

    /// Adds a warning about the system's authorities, at the first check or webhook that trusts them.
    pub fn warn_of_system(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.warn(OF_SYSTEM, message, help);
    }

    /// Adds a warning at a webhook's name.
    pub fn warn_of_webhook(&mut self, webhook: &str, message: impl Into<String>, help: impl Into<String>) {
        self.warn(&webhook_spot(webhook), message, help);
    }

    /// Adds a warning at a frontend's name, in the order of the file: for warnings that only a later stage
    /// can give. A duplicate is dropped, and so is a warning about an unknown frontend.
    pub fn warn(&mut self, frontend: &str, message: impl Into<String>, help: impl Into<String>) {
        let Some(spot) = self.spots.get(frontend) else { return };
        let warning = spot.diagnostic(Severity::Warning, message.into(), Some(help.into()));
        let before = |other: &Diagnostic| (other.line, other.column) <= (warning.line, warning.column);
        let at = self.warnings.partition_point(before);
        let known = self.warnings.iter().take(at).rev();
        let mut here = known.take_while(|other| (other.line, other.column) == (warning.line, warning.column));
        if here.all(|other| *other != warning) {
            self.warnings.insert(at, warning);
        }
    }
}

/// Key under which `spots` has a webhook: no frontend has such a name.
fn webhook_spot(webhook: &str) -> String {
    format!("webhook {webhook}")
}

/// Why a file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Its contents are invalid.
    #[error(transparent)]
    Refused(#[from] Errors),
}

impl LoadError {
    /// Exit code of `--check`: 1 if the file could not be read or parsed, 2 if it is not valid.
    pub fn exit_code(&self) -> u8 {
        match self {
            LoadError::Unreadable { .. } => 1,
            LoadError::Refused(errors) => errors.exit_code(),
        }
    }
}

fn not_utf8(name: &str, bytes: &[u8], valid_up_to: usize) -> Errors {
    let text = String::from_utf8_lossy(bytes);
    let valid = bytes.get(..valid_up_to).and_then(|valid| str::from_utf8(valid).ok()).unwrap_or_default();
    let last_line = valid.rsplit('\n').next().unwrap_or_default();
    let place = Place {
        line: valid.matches('\n').count() + 1,
        column: last_line.chars().count() + 1,
        width: 1,
        used_on: None,
    };
    let byte = bytes.get(valid_up_to).copied().unwrap_or_default();
    let mut report = Report::new(name, &text);
    report.malformed(
        place,
        format!("the byte 0x{byte:02x} is not UTF-8"),
        "save the file in UTF-8".to_owned(),
    );
    report.finish().err().unwrap_or(Errors { class: Class::NotParseable, diagnostics: Vec::new() })
}

/// Parses and validates a configuration that refers to no other files; `source_name` is shown in the
/// diagnostics.
///
/// # Errors
/// Like [`parse_with`]; files that it does refer to count as missing.
pub fn parse(source_name: &str, text: &str) -> Result<Loaded, Errors> {
    parse_with(source_name, text, &|_| Err(ErrorKind::NotFound.into()), UNIX_EPOCH)
}

/// Like [`parse_with`], from the bytes of a file.
///
/// # Errors
/// Like [`parse_with`], and if they are not UTF-8.
pub fn parse_bytes(
    source_name: &str,
    bytes: &[u8],
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    now: SystemTime,
) -> Result<Loaded, Errors> {
    match str::from_utf8(bytes) {
        Ok(text) => parse_with(source_name, text, read_file, now),
        Err(error) => Err(not_utf8(source_name, bytes, error.valid_up_to())),
    }
}

/// Parses and validates a configuration. `read_file` returns the contents of the CA files that it names, and
/// is called once for each; certificates' dates are compared with `now`.
///
/// # Errors
/// All mistakes, in the order of the text; a text that is not YAML is refused for its first mistake only.
pub fn parse_with(
    source_name: &str,
    text: &str,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    now: SystemTime,
) -> Result<Loaded, Errors> {
    let mut report = Report::new(source_name, text);
    let read = match yaml::parse(text) {
        Ok(tree) => read(&tree, &mut CaFiles::new(read_file, now), &mut report),
        Err(refusal) => {
            report.malformed(refusal.place, refusal.message, refusal.help);
            None
        }
    };
    let warnings = report.finish()?;
    // A draft is incomplete only if the report has an error.
    read.map(|(config, spots)| Loaded { config, warnings, system: None, spots })
        .ok_or(Errors { class: Class::NotValid, diagnostics: Vec::new() })
}

fn read(
    tree: &Node,
    files: &mut CaFiles<'_>,
    report: &mut Report<'_>,
) -> Option<(Config, BTreeMap<String, Spot>)> {
    let entry = maglev_entry(tree, report)?;
    let maglev = Section::open("`maglev`", entry.key.place, &entry.node, MAGLEV_KEYS, report);

    let healthchecker = settings::healthchecker(&maglev, report);
    let lb = settings::lb(&maglev, report);
    let router = announce::router(&maglev, report);
    let fleet = fleet::fleet(&maglev, report);
    let checks = healthcheck::healthchecks(&maglev, files, report);
    let backends = backend::backends(&maglev, report);
    let frontends = frontend::frontends(&maglev, report);
    let webhooks = webhook::webhooks(&maglev, files, report);

    rules::check_references(&backends, &checks, report);
    rules::member_references(&frontends, &backends, report);
    let families = rules::members(&frontends, &backends, report);
    rules::vips(&frontends, &families, report);
    rules::sources(&lb, &families, report);
    rules::without_weights(&lb, &frontends, report);
    rules::announcements(&frontends, report);
    if report.is_valid() {
        lints::frontends(&frontends, &backends, report);
        if frontends.is_empty() {
            report.warning(
                maglev.key_place("frontends").unwrap_or(maglev.place),
                "there are no frontends: every VIP will be removed from VPP",
                "define them under `frontends`",
            );
        }
    }

    let places = frontends.iter().map(|frontend| (frontend.name.value.clone(), frontend.name.place));
    let checking =
        checks.values().filter(|draft| draft.check.as_ref().is_some_and(HealthCheck::trusts_system));
    let delivering =
        webhooks.values().filter(|draft| draft.webhook.as_ref().is_some_and(Webhook::trusts_system));
    let of_system = checking.map(|draft| draft.place).chain(delivering.map(|draft| draft.place)).next();
    let of_system = of_system.map(|place| (OF_SYSTEM.to_owned(), place));
    let of_webhooks = webhooks.iter().map(|(name, draft)| (webhook_spot(name), draft.place));
    let spots = report.spots(places.chain(of_system).chain(of_webhooks));
    let mut config = Config {
        healthchecker,
        lb: lb.settings,
        router,
        fleet,
        healthchecks: checks
            .into_iter()
            .map(|(name, draft)| Some((name, draft.check?)))
            .collect::<Option<_>>()?,
        backends: backends
            .into_iter()
            .map(|(name, draft)| Some((name, draft.complete()?)))
            .collect::<Option<_>>()?,
        frontends: frontends.into_iter().map(frontend::FrontendDraft::complete).collect::<Option<_>>()?,
        webhooks: webhooks
            .into_iter()
            .map(|(name, draft)| Some((name, Arc::new(draft.webhook?))))
            .collect::<Option<_>>()?,
    };
    config.let_servers_ask();
    Some((config, spots))
}

/// The single top-level key.
fn maglev_entry<'t>(tree: &'t Node, report: &mut Report<'_>) -> Option<&'t Entry> {
    let help = "everything goes below the single key `maglev:`";
    match &tree.value {
        Value::Map(_) => {}
        Value::Null => {
            report.malformed(Place::START, "the file is empty", help.to_owned());
            return None;
        }
        Value::Scalar(_) | Value::List(_) => {
            let message = format!("the file must be a mapping, not {}", values::kind(tree));
            report.malformed(tree.place, message, help.to_owned());
            return None;
        }
    }
    let top = Section::open("the file", Place::START, tree, &["maglev"], report);
    let entry = top.entry("maglev");
    if entry.is_none() && top.is_empty() {
        report.malformed(Place::START, "the file has no `maglev`", help.to_owned());
    }
    entry
}

/// Quotes a text from the file for a message: on one line, short, without control characters or invisible
/// ones.
fn show(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|char| {
            let escape = characters::is_deceptive(char).then(|| char.escape_default());
            let plain = escape.is_none().then_some(char);
            escape.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
