//! The filter of a watcher's request.

use std::collections::BTreeSet;

use maglev_engine::snapshot::Snapshot;
use maglev_proto::event::What;
use maglev_proto::{Event, LogLevel, WatchEventsRequest};
use tonic::Status;
use tracing::Level;

use crate::grpc::refusal;

/// The parts of the events that a watcher requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    backends: Option<Names>,
    frontends: Option<Names>,
    connections: bool,
    configuration: bool,
    log: LogLevel,
}

/// Names, or empty for all.
type Names = BTreeSet<String>;

impl Filter {
    /// Rejects unknown names.
    pub(super) fn of(request: WatchEventsRequest, snapshot: &Snapshot) -> Result<Self, Status> {
        let log = LogLevel::try_from(request.log_level).map_err(|_| {
            let number = request.log_level;
            Status::invalid_argument(format!(
                "log level {number}: must be 1 (error) to 5 (trace), or 0 for none"
            ))
        })?;
        let backends = names("backend", request.backend_names, |name| {
            refusal::watchable(
                "backend",
                name,
                snapshot.backends.contains_key(name),
                snapshot.backends.keys(),
            )
        })?;
        let frontends = names("frontend", request.frontend_names, |name| {
            let known = snapshot.frontends.contains_key(name);
            refusal::watchable("frontend", name, known, snapshot.frontends.keys())
        })?;
        let WatchEventsRequest { backends: b, frontends: f, connections: v, configuration: c, .. } = request;
        let all = !(b || f || v || c);
        Ok(Self {
            backends: (b || all).then_some(backends),
            frontends: (f || all).then_some(frontends),
            connections: v || all,
            configuration: c || all,
            log,
        })
    }

    /// The minimum level of log lines, if they were requested.
    pub(super) fn log(&self) -> Option<Level> {
        match self.log {
            LogLevel::Unspecified => None,
            LogLevel::Error => Some(Level::ERROR),
            LogLevel::Warn => Some(Level::WARN),
            LogLevel::Info => Some(Level::INFO),
            LogLevel::Debug => Some(Level::DEBUG),
            LogLevel::Trace => Some(Level::TRACE),
        }
    }

    /// Whether an event matches.
    pub(super) fn has(&self, event: &Event) -> bool {
        let named = |asked: &Option<Names>, name: &str| {
            asked.as_ref().is_some_and(|names| names.is_empty() || names.contains(name))
        };
        match &event.what {
            Some(What::Backend(event)) => named(&self.backends, &event.backend),
            Some(What::Note(event)) if event.backend.is_empty() => self.backends.is_some(),
            Some(What::Note(event)) => named(&self.backends, &event.backend),
            Some(What::Frontend(event)) => named(&self.frontends, &event.frontend),
            Some(What::Agent(_) | What::Vpp(_) | What::Router(_)) => self.connections,
            Some(What::Route(event)) => event.frontends.iter().any(|name| named(&self.frontends, name)),
            Some(What::Configuration(_) | What::Fleet(_)) => self.configuration,
            Some(What::Log(line)) => line.level <= self.log.into(),
            // These three are only produced for watchers that requested them.
            Some(What::Weights(event)) => is_of(&self.frontends, &event.frontend),
            Some(What::Probe(event)) => is_of(&self.backends, &event.backend),
            Some(What::VppWrite(event)) => is_of(&self.frontends, &event.frontend),
            Some(What::Missed(_) | What::InitialStateEnd(_)) => true,
            None => false,
        }
    }
}

/// Whether it is about one of these names, if there are any.
fn is_of(names: &Option<Names>, name: &str) -> bool {
    names.as_ref().is_none_or(|names| names.is_empty() || names.contains(name))
}

fn names(
    kind: &str,
    given: Vec<String>,
    check: impl Fn(&str) -> Result<(), Status>,
) -> Result<Names, Status> {
    let mut names = Names::new();
    for name in given {
        let name = refusal::name(kind, name)?;
        check(&name)?;
        names.insert(name);
    }
    Ok(names)
}
