//! The agent itself, killed by the kernel for any system call that is not on its list. The variable
//! `MAGLEV_LEAVE_OUT` removes the entry of that name from the list: the process then dies if it needs that
//! entry. `tests/privileges.rs` uses this to find entries that are no longer needed.

use std::process::ExitCode;

use maglev_dpagent::privileges::seccomp::Filter;
use seccompiler::SeccompAction;

#[allow(dead_code, reason = "a program's own main is not called")]
#[path = "../src/main.rs"]
mod agent;

fn main() -> ExitCode {
    agent::start(|mode| {
        let mut filter = Filter::of(mode)?;
        filter.otherwise = SeccompAction::KillProcess;
        if let Ok(name) = std::env::var("MAGLEV_LEAVE_OUT") {
            filter.allowed.retain(|entry| entry.to_string() != name);
        }
        Some(filter)
    })
}
