//! Shared by the demo and the scenario tests: real processes in a temporary directory, a client of the VIP,
//! and a guard that cleans up.

pub mod binaries;
pub mod bird;
pub mod browser;
pub mod certificates;
pub mod dashboard;
pub mod etcd;
pub mod fleet;
pub mod frr;
pub mod guard;
pub mod hostile;
pub mod maglevc;
pub mod nginx;
pub mod stack;
pub mod switch;
pub mod switched;
pub mod traffic;
pub mod wait;

/// Reports on the terminal what a test skipped. The test harness hides the output of passed tests.
pub fn skipped(what: &str) {
    use std::io::Write;
    // Without a terminal nobody would read it.
    writeln!(std::io::stderr(), "skipped: {what}").ok();
}
