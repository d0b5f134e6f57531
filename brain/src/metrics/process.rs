//! Resource usage of this process, from the kernel.

use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// Resource usage; unreadable values are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// User and system CPU time so far, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Size of the address space.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Limit on open file descriptors.
    pub max_fds: Option<u64>,
}

impl Process {
    /// Reads the values, which opens files in `/proc/self`.
    pub fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let mut process = Self::parse(&stat, system(SysconfVar::CLK_TCK), system(SysconfVar::PAGE_SIZE));
        // One of them belongs to the directory itself.
        process.open_fds = entries(Path::new("/proc/self/fd")).map(|count| count.saturating_sub(1));
        process.max_fds = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
        process
    }

    /// Parses `/proc/self/stat`, see proc_pid_stat(5).
    pub(super) fn parse(stat: &str, ticks_per_second: Option<u64>, page_bytes: Option<u64>) -> Self {
        // The program's name, in parentheses, may contain anything; the field after it is the third.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
        let seconds = |(ticks, per_second): (u64, u64)| ticks as f64 / per_second as f64;
        Self {
            cpu_seconds: ticks.zip(ticks_per_second.filter(|ticks| *ticks > 0)).map(seconds),
            threads: field(20),
            virtual_bytes: field(23),
            resident_bytes: field(24).zip(page_bytes).map(|(pages, bytes)| pages.saturating_mul(bytes)),
            ..Self::default()
        }
    }
}

fn system(variable: SysconfVar) -> Option<u64> {
    sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok())
}

fn entries(directory: &Path) -> Option<u64> {
    Some(std::fs::read_dir(directory).ok()?.count() as u64)
}
