//! What the demo and the scenario tests share: real processes in a temporary directory, a client that asks
//! the VIP, and a guard that leaves nothing behind.

pub mod binaries;
pub mod browser;
pub mod certificates;
pub mod dashboard;
pub mod guard;
pub mod hostile;
pub mod maglevc;
pub mod nginx;
pub mod stack;
pub mod switched;
pub mod traffic;
pub mod wait;

/// Says on the terminal what a test left out. The test harness shows nothing that a passed test prints by the
/// usual macros.
pub fn skipped(what: &str) {
    use std::io::Write;
    // Without a terminal nobody reads it.
    writeln!(std::io::stderr(), "skipped: {what}").ok();
}
