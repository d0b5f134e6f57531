//! Loading the configuration file: at the start, for a check, and for a reload.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::{Blocking, BlockingError};
use maglev_engine::config::{Diagnostic, LoadError, Loaded};
use maglev_engine::core::{Command, CommandError, Done};
use maglev_engine::history::Record;
use maglev_engine::weights::{self, Inexact, Percent};
use maglev_probe::files;
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::controller::{Operator, Terms};
use crate::netns::{self, WrongNamespace};
use crate::open_files;

/// Time limit for reading and validating operators' files. A configuration of 50,000 backends takes half a
/// second.
pub const READ_WITHIN: Duration = Duration::from_secs(15);
/// Maximum number of concurrent reads, including those that never end, as on a network disk without its
/// server.
const MOST_READS: usize = 8;

/// Reads and validates a configuration file, and the system's authorities if a check needs them.
///
/// # Errors
/// Like [`files::load`].
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let mut loaded = files::load(path)?;
    warn_of_weights(&mut loaded);
    if loaded.trusts_system() {
        let (authorities, mut doubts) = files::of_system(SystemTime::now());
        if authorities.anchors().is_empty() {
            doubts.push("none found: checks without `ca-file` cannot verify certificates".to_owned());
        }
        for doubt in doubts {
            loaded.warn_of_system(format!("the system's authorities: {doubt}"), SYSTEM_HELP);
        }
        loaded.system = Some(Arc::new(authorities));
    }
    Ok(loaded)
}

/// Makes checks trust the system's authorities that were read with a configuration.
pub fn trust_system(loaded: &Loaded) {
    if let Some(authorities) = &loaded.system {
        maglev_probe::trust_system(Arc::clone(authorities));
    }
}

const SYSTEM_HELP: &str = "install or repair ca-certificates and reload, or set `ca-file`";

/// Warns of weights that no table can represent, or not one of the configured length.
fn warn_of_weights(loaded: &mut Loaded) {
    for (name, frontend) in &loaded.config.frontends.clone() {
        let Some(Inexact { worst_error, table_length, longer }) = weights::doubts(frontend, None) else {
            continue;
        };
        let message = format!(
            "the weights of frontend `{name}` do not fit its table of {table_length} buckets: the share of some \
             backend is off by {worst_error}"
        );
        let help = match longer {
            Some(longer) if longer.worst_error == Percent::ZERO => {
                format!("with `new-flows-table-length: {}` they would", longer.table_length)
            }
            Some(longer) => format!(
                "with `new-flows-table-length: {}` it would be off by {}; weights with a common divisor fit better",
                longer.table_length, longer.worst_error
            ),
            None => "weights with a common divisor, such as multiples of 10, fit better".to_owned(),
        };
        loaded.warn(name, message, help);
    }
}

/// Reloads the configuration of the running process.
#[derive(Debug, Clone)]
pub struct Reloader {
    path: Arc<PathBuf>,
    operator: Operator,
    /// One reload at a time, so that the file read last is the one in use.
    turn: Arc<Mutex<()>>,
    reading: Blocking,
    newest: Arc<std::sync::Mutex<Option<LastReload>>>,
}

/// The latest reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// Time of its end.
    pub at: SystemTime,
    /// Its changes, or why it was refused, on one line.
    pub result: Result<String, String>,
}

/// Result of a reload.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The changes, and their progress in VPP.
    pub done: Done,
    /// Warnings about the new configuration.
    pub warnings: Vec<Diagnostic>,
}

/// Why a reload was refused. The running configuration stays in use.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read, or is invalid.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It names another network namespace than the process is in.
    #[error(transparent)]
    Namespace(#[from] WrongNamespace),
    /// It could not be read in time.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    /// The process is shutting down.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Reloader {
    /// Reloads from this file.
    pub fn new(path: PathBuf, operator: Operator) -> Self {
        let reading = Blocking::new("reading the configuration", MOST_READS, READ_WITHIN);
        let (path, turn, newest) = (Arc::new(path), Arc::default(), Arc::default());
        Self { path, operator, turn, reading, newest }
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The latest reload, if there was one.
    pub fn newest(&self) -> Option<LastReload> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads and validates the file.
    ///
    /// # Errors
    /// If it would be refused.
    pub async fn load(&self) -> Result<Loaded, ReloadError> {
        let path = Arc::clone(&self.path);
        let load = move || -> Result<Loaded, ReloadError> {
            let loaded = load(&path)?;
            if let Some(name) = &loaded.config.healthchecker.netns {
                netns::check(name)?;
            }
            Ok(loaded)
        };
        self.reading.run(load).await?
    }

    /// Reloads the file if it is valid.
    ///
    /// # Errors
    /// If it is refused; the current configuration stays in use.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reload_on(Terms::default()).await
    }

    /// The same with conditions.
    ///
    /// # Errors
    /// If it is refused; the current configuration stays in use.
    pub async fn reload_on(&self, terms: Terms) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        let remark = terms.remark.clone();
        let reloaded = self.take(terms).await;
        let result = match &reloaded {
            Ok(reloaded) => Ok(reloaded.done.changes.clone().unwrap_or_default().to_string()),
            Err(error) => Err(first_mistake(&error.to_string()).to_owned()),
        };
        let newest = LastReload { at: SystemTime::now(), result };
        self.operator.history().record(Record::of_reload(newest.at, &newest.result, &remark));
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest);
        reloaded
    }

    async fn take(&self, terms: Terms) -> Result<Reloaded, ReloadError> {
        let loaded = self.load().await.inspect_err(|error| {
            self.operator.tally().refuse_config();
            warn!(file = %self.path.display(), "configuration refused; the current one stays in use:\n{error}");
        })?;
        trust_system(&loaded);
        let Loaded { config, warnings, .. } = loaded;
        for warning in &warnings {
            warn!("{}", warning.summary());
        }
        open_files::raise_limit(config.backends.len());
        info!(file = %self.path.display(), "configuration read");
        let done = self.operator.command(terms, Command::Reload(Arc::new(config))).await?;
        Ok(Reloaded { done, warnings })
    }
}

/// The first error; warnings may precede it.
fn first_mistake(findings: &str) -> &str {
    let mut lines = findings.lines();
    let first = lines.clone().next().unwrap_or_default();
    lines.find(|line| line.contains(": error: ")).unwrap_or(first)
}

#[cfg(test)]
mod tests;
