//! The system calls that the agent may make, in two levels.
//!
//! What is on the list of [`ALLOWED`] calls works. Anything else is refused with `ENOSYS`, as if the kernel did not have
//! it: a library that tries something new on another kernel then takes its older way, and the agent, which must not
//! stop for that, goes on. What only an intruder would do, the [`HOSTILE`] calls, ends the process at once.

mod allowed;
mod entry;
mod hostile;

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use clap::ValueEnum;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads,
};

pub use allowed::ALLOWED;
pub use entry::{Entry, Needed};
pub use hostile::HOSTILE;

/// Why system calls cannot be restricted.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The list was not written for such a machine.
    #[error("there is no filter of system calls for {ARCH}; --seccomp off runs without one")]
    Architecture,
    /// A rule makes no sense to the compiler.
    #[error("the filter of system calls cannot be made: {source}")]
    Compile {
        /// What the compiler said.
        source: BackendError,
    },
    /// The kernel does not take it.
    #[error("the filter of system calls cannot be set: {source}; --seccomp off runs without one")]
    Install {
        /// What the kernel said.
        source: seccompiler::Error,
    },
}

/// What happens to a system call that the agent should not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// It is refused, and a clearly hostile one ends the agent
    Enforce,
    /// It works, and the kernel's log names it: for a machine whose C library is unusual
    Log,
    /// It works
    Off,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Log => "log",
            Self::Off => "off",
        })
    }
}

/// Rules for all system calls.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Those that work.
    pub allowed: Vec<Entry>,
    /// Those that end the process, whatever else is said of them.
    pub hostile: Vec<Entry>,
    /// What becomes of all others.
    pub otherwise: SeccompAction,
}

impl Filter {
    /// The agent's own, if the mode has one.
    #[must_use]
    pub fn of(mode: Mode) -> Option<Self> {
        let allowed = ALLOWED.to_vec();
        match mode {
            Mode::Enforce => {
                let otherwise = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
                Some(Self { allowed, hostile: HOSTILE.to_vec(), otherwise })
            }
            Mode::Log => Some(Self { allowed, hostile: Vec::new(), otherwise: SeccompAction::Log }),
            Mode::Off => None,
        }
    }

    /// Sets it for every thread of this process, for good. It sets `no_new_privs` too.
    ///
    /// # Errors
    /// When the machine's architecture is not known, or its kernel does not take the filter.
    pub fn install(&self) -> Result<(), SeccompError> {
        let install = |program: BpfProgram| {
            apply_filter_all_threads(&program).map_err(|source| SeccompError::Install { source })
        };
        // Two filters: of what several say of one call, the kernel takes the most severe (seccomp(2)).
        if !self.hostile.is_empty() {
            install(compile(&self.hostile, SeccompAction::KillProcess, SeccompAction::Allow)?)?;
        }
        install(compile(&self.allowed, SeccompAction::Allow, self.otherwise.clone())?)
    }
}

/// The kernel's form of a list: what becomes of those that are on it, and of those that are not.
fn compile(
    entries: &[Entry],
    on_it: SeccompAction,
    otherwise: SeccompAction,
) -> Result<BpfProgram, SeccompError> {
    let compiler = |source| SeccompError::Compile { source };
    let target = TargetArch::try_from(ARCH).map_err(|_| SeccompError::Architecture)?;
    let mut rules: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for entry in entries {
        // No rule at all lets any arguments through.
        rules.entry(entry.number()).or_default().extend(entry.rule().map_err(compiler)?);
    }
    let filter = SeccompFilter::new(rules, otherwise, on_it, target).map_err(compiler)?;
    filter.try_into().map_err(compiler)
}

#[cfg(test)]
mod tests;
