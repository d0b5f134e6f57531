//! The units, judged by systemd itself.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use maglev_tests::skipped;

/// The agent's exposure may be so much at most. What it consists of stands in `docs/security.md`.
const MOST: f64 = 1.4;

/// What `systemd-analyze security` prints of a unit's file. None where there is no such program, or one older than 250.
fn analysis(unit: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(unit);
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=yes", "--no-pager"]).arg(path.canonicalize().unwrap());
    let output = command.env("LC_ALL", "C.UTF-8").output().ok()?;
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    if errors.contains("unrecognized option") {
        return None;
    }
    assert!(output.status.success(), "{text}{errors}");
    Some(text)
}

/// The figure in "Overall exposure level for UNIT: 1.4 OK".
fn exposure(analysis: &str) -> f64 {
    let (_, after) = analysis.split_once("Overall exposure level for ").expect("an overall level");
    let level = after.split_whitespace().nth(1).expect("a figure behind the unit's name");
    level.parse().unwrap()
}

#[test]
fn the_agents_unit_exposes_little() {
    let Some(analysis) = analysis("maglev-dpagent.service") else {
        return skipped(
            "the exposure of the agent's unit is measured by systemd-analyze 250 or newer, which is missing",
        );
    };
    let exposure = exposure(&analysis);
    writeln!(std::io::stderr(), "exposure of maglev-dpagent.service: {exposure} (at most {MOST})").ok();
    let points: Vec<_> = analysis.lines().filter(|line| line.contains('✗')).collect();
    assert!(exposure <= MOST, "{exposure} is more than {MOST}:\n{}", points.join("\n"));
}
