//! Runs the real program.

#![allow(dead_code)] // Not every test file needs all of it.

use std::io::Write;
use std::process::{Output, Stdio};

use tokio::process::Command;

pub(crate) fn maglevc(server: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglevc"));
    command.env_clear().env("MAGLEV_SERVER", server).args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) async fn run(server: &str, words: &[&str]) -> Output {
    maglevc(server, words).output().await.unwrap()
}

pub(crate) async fn answer(server: &str, words: &[&str]) -> String {
    let output = run(server, words).await;
    let (code, stderr) = (output.status.code(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error; standard output must be empty.
pub(crate) async fn refusal(server: &str, words: &[&str]) -> (i32, String) {
    let output = run(server, words).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{words:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Not with a macro, whose output the test harness shows only for failed tests.
pub(crate) fn skipped(what: &str) {
    writeln!(std::io::stderr(), "skipped: {what}").ok();
}
