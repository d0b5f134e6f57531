//! CPU affinity, and the limit on open files.

use std::fmt;
use std::process::{Child, Command};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

const SELF: Pid = Pid::from_raw(0);

/// One core for the measured process, and another for everything else. The same core if there is only one.
pub(crate) struct Cores {
    all: CpuSet,
    pub(crate) measured: usize,
    pub(crate) other: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub(crate) fn find() -> Self {
        let all = sched_getaffinity(SELF).unwrap();
        let mut usable = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap());
        let other = usable.next().unwrap();
        let measured = usable.next().unwrap_or(other);
        Self { all, measured, other }
    }

    /// Starts a process pinned to a core.
    pub(crate) fn spawn(&self, command: &mut Command, core: usize) -> Child {
        // The process inherits the core, so none of its threads ever runs elsewhere.
        Self::stay_on(core);
        let child = command.spawn();
        sched_setaffinity(SELF, &self.all).unwrap();
        child.unwrap()
    }

    /// Pins the calling thread and its future threads to a core.
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

/// Raises the soft limit on open files to the hard one, for this process and its children.
pub(crate) fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
