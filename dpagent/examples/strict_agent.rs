//! The agent itself, which the kernel kills for any system call that is not on its list. The variable
//! `MAGLEV_LEAVE_OUT` takes an entry off the list, by its name: then it dies exactly if it needs that one.
//! `tests/privileges.rs` hunts so for entries that nothing needs any more.

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
