//! The official Python client of VPP talks to vppsim, where it is installed.
//!
//! `MAGLEV_TEST_PYTHON` names an interpreter that has the package `vpp-papi`; without it, `python3` is tried.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Vppsim, soon};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/papi_client.py");
const MESSAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/messages.json");

/// The interpreter, if it has the package.
async fn python() -> Option<String> {
    let python = std::env::var("MAGLEV_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = Command::new(&python)
        .args(["-c", "import vpp_papi"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let has_package = soon(import).await.is_ok_and(|status| status.success());
    has_package.then_some(python)
}

#[tokio::test]
async fn vpp_papi_talks_to_it() {
    let Some(python) = python().await else {
        // Not by a macro, whose output the harness shows of failed tests only.
        let why =
            "skipped: no Python with the package vpp-papi; install it and name it in MAGLEV_TEST_PYTHON";
        writeln!(std::io::stderr(), "{why}").ok();
        return;
    };
    for ids in ["recorded", "shuffled"] {
        let folder = tempfile::tempdir().unwrap();
        let vppsim = Vppsim::start(folder.path(), &["--message-ids", ids]).await;
        let script = Command::new(&python)
            .arg(SCRIPT)
            .arg(folder.path())
            .arg(MESSAGES)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = soon(script).await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all done\n");
        drop(vppsim);
    }
}
