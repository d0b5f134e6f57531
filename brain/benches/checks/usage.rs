//! Resource usage of a process, from Linux's /proc.

use std::time::Duration;

use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// CPU time of a whole process, including threads that have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    pub(crate) total: Duration,
    /// Ticks in user and kernel space. They are coarse, so only their ratio is used.
    ticks: [u64; 2],
}

impl CpuTime {
    pub(crate) fn of(pid: u32) -> Self {
        let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().unwrap())).unwrap();
        let total = u64::try_from(clock_gettime(clock).unwrap().num_nanoseconds()).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name may contain anything; it ends at the last parenthesis. utime is field 14, the name is
        // field 2.
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11);
        let mut tick = || fields.next().unwrap().parse().unwrap();
        Self { total: Duration::from_nanos(total), ticks: [tick(), tick()] }
    }

    /// Total, and the fraction in user space, from 0 to 1.
    pub(crate) fn since(&self, before: &Self) -> (Duration, f64) {
        let [user, system] = [0, 1].map(|part| (self.ticks[part] - before.ticks[part]) as f64);
        (self.total.saturating_sub(before.total), user / (user + system).max(1.0))
    }
}

/// Resident memory in bytes: everything mapped, and the part not shared with others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) proportional: f64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            kibibytes * 1024.0
        };
        Self { resident: field("Rss:"), proportional: field("Pss:") }
    }
}

/// Average number of runnable processes in the last minute: other work on this machine distorts the figures.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}
