//! What operators may ask of a backend.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Core, Effects, static_pass};
use crate::health::{self, Refused, State};

/// What an operator wants of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Send it no probes and no new flows, and let its flows end.
    Pause,
    /// Probe it again.
    Resume,
    /// Take it out of service, and its flows with it.
    Disable,
    /// Take it back into service.
    Enable,
}

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such backend.
    #[error("there is no backend {0:?}")]
    NoSuchBackend(String),
    /// The backend's state does not allow it.
    #[error("backend {backend:?}: {refused}")]
    Refused {
        /// Its name.
        backend: String,
        /// Why not, and what to do instead.
        refused: Refused,
    },
    /// The process ends.
    #[error("the brain is ending")]
    Ending,
}

impl Core {
    /// Carries out an operator's command.
    pub fn command(
        &mut self,
        backend: &str,
        command: Command,
        now: SystemTime,
    ) -> Result<Effects, CommandError> {
        let Some((name, _)) = self.backends.get_key_value(backend) else {
            return Err(CommandError::NoSuchBackend(backend.to_owned()));
        };
        let name = Arc::clone(name);
        let input = match command {
            Command::Pause => health::Input::Pause,
            Command::Resume => health::Input::Resume,
            Command::Disable => health::Input::Disable,
            Command::Enable => health::Input::Enable,
        };
        let refused = |refused| CommandError::Refused { backend: backend.to_owned(), refused };
        let mut effects = self.input(&name, input, now).map_err(refused)?;
        let is_static = self.config.backends.get(backend).is_some_and(|found| found.healthcheck.is_none());
        let state = self.state_of(backend);
        if is_static && state == State::Unknown {
            effects.merge(self.input(&name, static_pass(), now).map_err(refused)?);
        }
        Ok(effects)
    }
}
