//! Who runs where, and how much may be open.

use std::fmt;
use std::process::{Child, Command};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

const SELF: Pid = Pid::from_raw(0);

/// One core for what is measured, and another for all else. The same if there is only one.
pub(crate) struct Cores {
    all: CpuSet,
    pub(crate) measured: usize,
    pub(crate) other: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn find() -> Self {
        let all = sched_getaffinity(SELF).unwrap();
        let mut usable = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap());
        let other = usable.next().unwrap();
        let measured = usable.next().unwrap_or(other);
        Self { all, measured, other }
    }

    /// Starts a process that stays on one core.
    pub(crate) fn spawn(&self, command: &mut Command, core: usize) -> Child {
        // It inherits the core, so that none of its threads is ever elsewhere.
        Self::stay_on(core);
        let child = command.spawn();
        sched_setaffinity(SELF, &self.all).unwrap();
        child.unwrap()
    }

    /// Keeps the calling thread on a core, and the threads that it starts from now on.
    pub(crate) fn stay_on(core: usize) {
        let mut only = CpuSet::new();
        only.set(core).unwrap();
        sched_setaffinity(SELF, &only).unwrap();
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.measured, self.other) {
            (core, other) if core == other => write!(out, "all on core {core}, the only one"),
            (core, other) => write!(out, "measured on core {core}, servers on core {other}"),
        }
    }
}

/// Allows as many open files as the hard limit does, for this process and those that it starts.
pub(crate) fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
