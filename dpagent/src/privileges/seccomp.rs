//! System call filter of the agent, in two levels.
//!
//! [`ALLOWED`] calls work. Any other call fails with `ENOSYS`, as if the kernel did not have it: a library
//! that tries a newer call on another kernel then falls back to an older one, and the agent goes on.
//! [`HOSTILE`] calls, which only an intruder would make, end the process at once.

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

/// Why the system call filter could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The list was written for another architecture.
    #[error("there is no system call filter for {ARCH}; --seccomp off runs without one")]
    Architecture,
    /// A rule could not be compiled.
    #[error("the system call filter cannot be compiled: {source}")]
    Compile {
        /// The compiler's error.
        source: BackendError,
    },
    /// The kernel did not accept the filter.
    #[error("the system call filter cannot be installed: {source}; --seccomp off runs without one")]
    Install {
        /// The kernel's error.
        source: seccompiler::Error,
    },
}

/// What happens to a system call that the agent should not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// It fails, and a clearly hostile one ends the agent
    Enforce,
    /// It works and is named in the kernel's log: for machines with an unusual C library
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
    /// Calls that work.
    pub allowed: Vec<Entry>,
    /// Calls that end the process, even if another rule allows them.
    pub hostile: Vec<Entry>,
    /// What happens to all other calls.
    pub otherwise: SeccompAction,
}

impl Filter {
    /// The filter of a mode, if it has one.
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

    /// Installs the filter for every thread of this process, permanently. Also sets `no_new_privs`.
    ///
    /// # Errors
    /// When the architecture is unknown, or the kernel does not accept the filter.
    pub fn install(&self) -> Result<(), SeccompError> {
        let install = |program: BpfProgram| {
            apply_filter_all_threads(&program).map_err(|source| SeccompError::Install { source })
        };
        // Two filters: if they differ about a call, the kernel applies the stricter one (seccomp(2)).
        if !self.hostile.is_empty() {
            install(compile(&self.hostile, SeccompAction::KillProcess, SeccompAction::Allow)?)?;
        }
        install(compile(&self.allowed, SeccompAction::Allow, self.otherwise.clone())?)
    }
}

/// Compiles a list: what happens to the calls on it, and to all others.
fn compile(
    entries: &[Entry],
    on_it: SeccompAction,
    otherwise: SeccompAction,
) -> Result<BpfProgram, SeccompError> {
    let compiler = |source| SeccompError::Compile { source };
    let target = TargetArch::try_from(ARCH).map_err(|_| SeccompError::Architecture)?;
    let mut rules: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for entry in entries {
        // An entry without a rule matches any arguments.
        rules.entry(entry.number()).or_default().extend(entry.rule().map_err(compiler)?);
    }
    let filter = SeccompFilter::new(rules, otherwise, on_it, target).map_err(compiler)?;
    filter.try_into().map_err(compiler)
}

#[cfg(test)]
mod tests;
