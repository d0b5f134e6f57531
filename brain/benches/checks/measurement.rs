//! One row of a table: a checking program, measured for a while.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::MIB;
use crate::checkers::Program;
use crate::cores::Cores;
use crate::server::Backends;
use crate::usage::{CpuTime, Memory, load_average};

/// Time until every backend has been checked several times and both programs run steadily.
pub(crate) const WARM_UP: Duration = Duration::from_secs(8);

/// Minimum fraction of the due checks that must be made. One a second is due for each backend, apart from
/// jitter.
const ENOUGH: f64 = 0.97;

/// State shared by all measurements.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) servers: Backends,
    pub(crate) duration: Duration,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new(cores: Cores, duration: Duration) -> Self {
        let servers = Backends::start(&cores);
        Self { cores, servers, duration, directory: tempfile::tempdir().unwrap() }
    }

    /// Directory for configurations, sockets and logs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn measure(&mut self, program: &Program, backends: u32) -> Row {
        let mut checker = program.start(self.directory.path(), &self.cores, self.servers.port, backends);
        sleep(WARM_UP).await;
        checker.assert_alive();
        let start = Instant::now();
        let (before, servers_before) = (CpuTime::of(checker.pid()), CpuTime::of(self.servers.pid()));
        let answered = self.servers.answered();
        sleep(self.duration).await;
        let wall = start.elapsed();
        let (after, servers_after) = (CpuTime::of(checker.pid()), CpuTime::of(self.servers.pid()));
        let checks = (self.servers.answered() - answered) as f64;
        checker.assert_alive();
        let (cpu, user) = after.since(&before);
        let (servers, _) = servers_after.since(&servers_before);
        Row {
            program: program.name(),
            backends,
            checks_per_second: checks / wall.as_secs_f64(),
            micros_per_check: cpu.as_secs_f64() * 1e6 / checks,
            user,
            server_micros: servers.as_secs_f64() * 1e6 / checks,
            of_a_core: cpu.as_secs_f64() / wall.as_secs_f64(),
            memory: Memory::of(checker.pid()),
            load: load_average(),
        }
    }

    /// Memory with this many backends, soon after the start.
    pub(crate) async fn resident(&self, program: &Program, backends: u32) -> Memory {
        let mut checker = program.start(self.directory.path(), &self.cores, self.servers.port, backends);
        sleep(WARM_UP / 2).await;
        checker.assert_alive();
        Memory::of(checker.pid())
    }
}

/// Result of a measurement.
pub(crate) struct Row {
    program: &'static str,
    backends: u32,
    checks_per_second: f64,
    pub(crate) micros_per_check: f64,
    /// The fraction of user-space time, from 0 to 1.
    user: f64,
    server_micros: f64,
    of_a_core: f64,
    pub(crate) memory: Memory,
    load: String,
}

impl Row {
    /// "server" is the cost of a check at the server, which no other column includes. "load" is the
    /// machine's.
    pub(crate) const HEAD: &'static str = "program   backends  checks/s  CPU/check      user   system   core     \
                                           server    resident proportional   load";
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (micros, memory) = (self.micros_per_check, self.memory);
        write!(out, "{:<10}{:>8}{:>10.0}", self.program, self.backends, self.checks_per_second)?;
        write!(out, "{micros:>8.1} us{:>6.1} us{:>6.1} us", micros * self.user, micros * (1.0 - self.user))?;
        write!(out, "{:>5.1} %{:>8.1} us", self.of_a_core * 100.0, self.server_micros)?;
        write!(out, "{:>7.1} MiB{:>9.1} MiB", memory.resident / MIB, memory.proportional / MIB)?;
        write!(out, "{:>7}", self.load)?;
        if self.checks_per_second < f64::from(self.backends) * ENOUGH {
            write!(out, "  too few checks: disturbed")?;
        }
        Ok(())
    }
}

/// Memory per backend beyond the first.
pub(crate) fn bytes_per_backend(with_one: f64, with_all: f64, backends: u32) -> f64 {
    (with_all - with_one) / f64::from(backends - 1)
}
