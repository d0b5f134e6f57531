//! Loading the configuration file: at the start, for a check, and for a reload; and going back to an earlier one.

mod applied;
mod fleet;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::{Blocking, BlockingError};
use maglev_engine::config::{Authorities, Diagnostic, LoadError, Loaded};
use maglev_engine::core::{CommandError, Done};
use maglev_engine::history::Record;
use maglev_engine::overrides::Remark;
use maglev_engine::revisions::{NoRevision, Origin, Revision, Sum};
use maglev_engine::weights::{self, Inexact, Percent};
use maglev_probe::files;
use maglev_protocol::Dialect;
use tokio::sync::{Mutex, watch as watch_channel};
use tracing::{info, warn};

pub use applied::{Applied, Standing, Started, start};

use crate::controller::{Operator, Terms};
use crate::netns::{self, WrongNamespace};
use crate::webhooks;
use applied::Next;

/// Time limit for reading and validating operators' files. A configuration of 50,000 backends takes half a
/// second.
pub const READ_WITHIN: Duration = Duration::from_secs(15);
/// Time limit for writing a configuration to the state directory.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Maximum number of concurrent reads, including those that never end, as on a network disk without its
/// server.
const MOST_READS: usize = 8;

/// Reads and validates a configuration file, and the system's authorities if a check needs them.
///
/// # Errors
/// Like [`files::load`].
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_with_text(path).map(|(loaded, _)| loaded)
}

/// The same with its text.
///
/// # Errors
/// Like [`load`].
pub(crate) fn load_with_text(path: &Path) -> Result<(Loaded, Vec<u8>), LoadError> {
    let text = files::read(path)?;
    Ok((validate(&path.display().to_string(), &text)?, text))
}

/// Validates the text of a configuration, and reads the files that it needs. `name` is shown in the diagnostics.
fn validate(name: &str, text: &[u8]) -> Result<Loaded, LoadError> {
    let mut loaded = files::parse(name, text)?;
    warn_of_weights(&mut loaded);
    if loaded.trusts_system() {
        let (authorities, mut doubts) = files::of_system(SystemTime::now());
        if authorities.anchors().is_empty() {
            doubts.push(
                "none found: checks and webhooks without `ca-file` cannot verify certificates".to_owned(),
            );
        }
        for doubt in doubts {
            loaded.warn_of_system(format!("the system's authorities: {doubt}"), SYSTEM_HELP);
        }
        loaded.system = Some(Arc::new(authorities));
    }
    warn_of_secrets(&mut loaded);
    Ok(loaded)
}

/// Makes checks trust the system's authorities, if they were read with a configuration.
pub fn trust_system(authorities: Option<Arc<Authorities>>) {
    if let Some(authorities) = authorities {
        maglev_probe::trust_system(authorities);
    }
}

/// Secrets with fewer bytes are warned of.
const SHORTEST_SECRET: usize = 16;

const SYSTEM_HELP: &str = "install or repair ca-certificates and reload, or set `ca-file`";

/// Warns of webhooks whose secret cannot be used. It is read again at each delivery, so it may follow later.
fn warn_of_secrets(loaded: &mut Loaded) {
    for (name, webhook) in &loaded.config.webhooks.clone() {
        let file = webhook.secret_file.display();
        let (problem, help) = match webhooks::secret(&webhook.secret_file) {
            Err(problem) => {
                (problem, "without a secret nothing is delivered: write one, readable for this process")
            }
            Ok(secret) if secret.len() < SHORTEST_SECRET => {
                ("is short enough to be guessed".to_owned(), "write a longer one: `openssl rand -hex 32`")
            }
            Ok(_) => continue,
        };
        loaded.warn_of_webhook(
            name,
            format!("`secret-file` of webhook `{name}` is {file}, which {problem}"),
            help,
        );
    }
}

/// Warns of weights that no table can represent, or not one of the configured length.
fn warn_of_weights(loaded: &mut Loaded) {
    let dialect = loaded.config.lb.vpp_lb_api;
    if !dialect.has_weights() {
        return check_against(loaded, dialect);
    }
    for (name, frontend) in &loaded.config.frontends.clone() {
        let Some(Inexact { worst_error, table_length, longer }) = weights::doubts(dialect, frontend, None)
        else {
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

/// Warns of what a VPP cannot express.
pub fn check_against(loaded: &mut Loaded, dialect: Dialect) {
    for (name, frontend) in &loaded.config.frontends.clone() {
        if let Some(what) = weights::inexpressible(dialect, frontend, None) {
            loaded.warn(name, format!("frontend `{name}`: {what}"), weights::WITHOUT_WEIGHTS);
        }
    }
}

/// Reloads the configuration of the running process.
#[derive(Debug, Clone)]
pub struct Reloader {
    path: Arc<PathBuf>,
    operator: Operator,
    /// The configuration in use. Locked during a reload, so that the file read last is the one in use.
    applied: Arc<Mutex<Applied>>,
    reading: Blocking,
    writing: Blocking,
    newest: Arc<std::sync::Mutex<Option<LastReload>>>,
    standing: Arc<watch_channel::Sender<Standing>>,
    /// Name of the fleet, if this process is a member of one.
    fleet: Option<Arc<str>>,
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
    /// Its record.
    pub revision: Option<Revision>,
    /// Reason for a restart of the brain not starting with it, if it would not.
    pub not_kept: Option<String>,
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
    /// The controller refuses: the process is shutting down, or the state is not the one previewed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// There is no configuration to go back to, or none to confirm.
    #[error(transparent)]
    NoRevision(#[from] NoRevision),
    /// The file of the configuration to go back to cannot be read.
    #[error("the file of configuration {0} in the state directory cannot be read any more")]
    Lost(u64),
    /// The configuration in use is the fleet's.
    #[error(
        "the configuration in use is that of fleet {0}, and not the file: `maglevc fleet config put FILE` changes it for all \
         members, `maglevc fleet config rollback` goes back"
    )]
    Fleet(Arc<str>),
    /// The confirmation would not survive a restart.
    #[error(
        "without a confirmation it could not go back, since that cannot be persisted: {0}; fix the state directory, or reload \
         without `confirm`"
    )]
    NotPersisted(String),
}

impl Reloader {
    /// Reloads from this file. Keeps no configurations to go back to, until it is told what was [started](Self::started).
    pub fn new(path: PathBuf, operator: Operator) -> Self {
        let reading = Blocking::new("reading the configuration", MOST_READS, READ_WITHIN);
        let writing = Blocking::new("writing the configuration to the state directory", 1, WRITTEN_WITHIN);
        let (path, applied, newest) = (Arc::new(path), Arc::default(), Arc::default());
        let standing = Arc::new(watch_channel::Sender::new(Standing::default()));
        Self { path, operator, applied, reading, writing, newest, standing, fleet: None }
    }

    /// The same with what this process has started with.
    #[must_use]
    pub fn started(self, applied: Applied) -> Self {
        self.publish(&applied, None);
        Self { applied: Arc::new(Mutex::new(applied)), ..self }
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
        Ok(self.read().await?.1)
    }

    async fn read(&self) -> Result<(Arc<[u8]>, Loaded), ReloadError> {
        let path = Arc::clone(&self.path);
        let load = move || {
            let text: Arc<[u8]> = files::read(&path)?.into();
            let loaded = usable(&path.display().to_string(), &text)?;
            Ok((text, loaded))
        };
        self.reading.run(load).await?
    }

    /// Reloads the file if it is valid.
    ///
    /// # Errors
    /// If it is refused; the current configuration stays in use.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reload_on(Terms::default(), None).await
    }

    /// The same with conditions. With a time to `confirm`, it goes back by itself unless it is [confirmed](Self::confirm).
    ///
    /// # Errors
    /// If it is refused; the current configuration stays in use.
    pub async fn reload_on(&self, terms: Terms, confirm: Option<Duration>) -> Result<Reloaded, ReloadError> {
        let mut applied = self.applied.lock().await;
        if let Err(error) = self.refuse_in_fleet(&applied) {
            warn!(%error, "not reloaded");
            return Err(error);
        }
        self.reload_file(&mut applied, terms, confirm).await
    }

    async fn reload_file(
        &self,
        applied: &mut Applied,
        terms: Terms,
        confirm: Option<Duration>,
    ) -> Result<Reloaded, ReloadError> {
        let remark = terms.remark.clone();
        let reloaded = async {
            let (text, loaded) = self.read().await.inspect_err(|error| {
                self.operator.tally().refuse_config();
                warn!(file = %self.path.display(), "configuration refused; the current one stays in use:\n{error}");
            })?;
            info!(file = %self.path.display(), "configuration read");
            let (sum, revisions) = (Sum::of(&text), &applied.revisions);
            let new = confirm.is_some() || !revisions.is_recorded(sum);
            let who = terms.remark.who.clone();
            let next = || revisions.next(Origin::Reload, (sum, Some(sum)), who, confirm, SystemTime::now());
            let revision = new.then(next);
            self.apply(applied, Next { text, loaded, revision, must_persist: confirm.is_some() }, terms).await
        };
        let reloaded = reloaded.await;
        self.note(&reloaded, &remark);
        reloaded
    }

    /// Remembers how the newest attempt ended.
    fn note(&self, reloaded: &Result<Reloaded, ReloadError>, remark: &Remark) {
        let result = match reloaded {
            Ok(reloaded) => Ok(reloaded.done.changes.clone().unwrap_or_default().to_string()),
            Err(error) => Err(first_mistake(&error.to_string()).to_owned()),
        };
        let newest = LastReload { at: SystemTime::now(), result };
        self.operator.history().record(Record::of_reload(newest.at, &newest.result, remark));
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest);
    }
}

/// Validates a text that this process would run.
fn usable(name: &str, text: &[u8]) -> Result<Loaded, ReloadError> {
    let loaded = validate(name, text)?;
    if let Some(name) = &loaded.config.healthchecker.netns {
        netns::check(name)?;
    }
    Ok(loaded)
}

/// The first error; warnings may precede it.
pub(crate) fn first_mistake(findings: &str) -> &str {
    let mut lines = findings.lines();
    let first = lines.clone().next().unwrap_or_default();
    lines.find(|line| line.contains(": error: ")).unwrap_or(first)
}

#[cfg(test)]
mod tests;
