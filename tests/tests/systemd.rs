//! The units, checked with systemd itself.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use maglev_tests::skipped;

/// The services, with the maximum exposure of each. `docs/security.md` explains what it consists of.
const MOST: [(&str, f64); 3] =
    [("maglev-brain.service", 1.1), ("maglev-dashboard.service", 1.5), ("maglev-dpagent.service", 1.4)];

/// Keys newer than systemd 252. Any other unknown key is misspelt.
const NEWER: [&str; 2] = ["'RestartSteps'", "'RestartMaxDelaySec'"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").canonicalize().unwrap()
}

/// The text of a file below `systemd/`.
fn text(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

/// Services and sockets, by name.
fn units() -> Vec<String> {
    let names =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut units: Vec<_> =
        names.filter(|name| name.ends_with(".service") || name.ends_with(".socket")).collect();
    units.sort();
    units
}

/// The values of all lines `KEY=` in the units' language, split at spaces.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let after = |line: &'a str| line.strip_prefix(key)?.strip_prefix('=');
    text.lines().filter_map(after).flat_map(str::split_whitespace).collect()
}

/// The output of systemd-analyze. `None` if it is missing or older than 250, which cannot check files.
fn analyze(arguments: &[&str], files: &[PathBuf]) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    let output = match command.args(arguments).args(files).env("LC_ALL", "C.UTF-8").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    (!errors(&output).contains("unrecognized option")).then_some(output)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The figure in "Overall exposure level for UNIT: 1.4 OK".
fn exposure(analysis: &str) -> f64 {
    let (_, after) = analysis.split_once("Overall exposure level for ").expect("an overall level");
    let level = after.split_whitespace().nth(1).expect("a figure behind the unit's name");
    level.parse().unwrap()
}

#[test]
fn the_services_expose_little() {
    for (unit, most) in MOST {
        let arguments = ["security", "--offline=yes", "--no-pager"];
        let Some(output) = analyze(&arguments, &[folder().join(unit)]) else {
            return skipped(
                "the exposure of services is measured by systemd-analyze 250 or newer, which is missing",
            );
        };
        let analysis = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{analysis}{}", errors(&output));
        let exposure = exposure(&analysis);
        writeln!(std::io::stderr(), "exposure of {unit}: {exposure} (at most {most})").ok();
        let points: Vec<_> = analysis.lines().filter(|line| line.contains('✗')).collect();
        assert!(exposure <= most, "{unit}: {exposure} is more than {most}:\n{}", points.join("\n"));
    }
}

/// Uses copies of the units, with programs that exist on every machine.
#[test]
fn systemd_finds_no_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |name: &String| {
        let path = directory.path().join(name);
        let text = text(name).replace("/usr/bin/maglev-brain ", "/bin/true ");
        let text = text.replace("/usr/bin/maglev-dashboard\n", "/bin/true\n");
        fs::write(&path, text.replace("/usr/bin/maglev-dpagent ", "/bin/true ")).unwrap();
        path
    };
    let copies: Vec<_> = units().iter().map(copy).collect();
    assert_eq!(copies.len(), 6, "{copies:?}");
    // Manual pages are installed by the package only.
    let Some(output) = analyze(&["verify", "--man=no"], &copies) else {
        return skipped("units are verified by systemd-analyze, which is missing");
    };
    let errors = errors(&output);
    let own = |line: &&str| line.contains("maglev") && !NEWER.iter().any(|key| line.contains(key));
    let complaints: Vec<_> = errors.lines().filter(own).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(output.status.success(), "{errors}");
}

/// No line about a change may be dropped because there are many.
#[test]
fn journald_leaves_no_line_out() {
    for (unit, _) in MOST {
        assert_eq!(values(&text(unit), "LogRateLimitIntervalSec"), ["0"], "{unit}");
    }
}

/// Either starts, stops and fails without the other.
#[test]
fn neither_daemon_is_bound_to_the_other() {
    for (unit, other) in [("brain", "dpagent"), ("dpagent", "brain")] {
        let text = text(&format!("maglev-{unit}.service"));
        for key in [
            "Requires",
            "Requisite",
            "BindsTo",
            "PartOf",
            "Upholds",
            "StopPropagatedFrom",
            "PropagatesStopTo",
        ] {
            let bound = values(&text, key);
            assert!(!bound.iter().any(|name| name.contains(other)), "{unit}: {key}={}", bound.join(" "));
        }
    }
    assert!(values(&text("maglev-brain.service"), "After").contains(&"maglev-dpagent.service"));
    assert!(values(&text("maglev-dpagent.service"), "After").iter().all(|name| !name.contains("brain")));
}

/// A socket unit listens on the same addresses as a brain started by hand with the unit's flags.
#[test]
fn sockets_and_flags_name_the_same_addresses() {
    let service = text("maglev-brain.service");
    let flags = values(&service, "ExecStart");
    let named = |flag: &str| -> Vec<String> {
        let pairs = flags.windows(2).filter(|pair| pair.first() == Some(&flag));
        pairs.map(|pair| pair[1].trim_start_matches("unix:").to_owned()).collect()
    };
    for (socket, flag) in [("grpc", "--grpc"), ("metrics", "--metrics")] {
        let unit = format!("maglev-brain-{socket}.socket");
        let text = text(&unit);
        assert_eq!(values(&text, "ListenStream"), named(flag), "{unit}");
        assert_eq!(values(&text, "FileDescriptorName"), [socket], "{unit}");
        assert_eq!(values(&text, "Service"), ["maglev-brain.service"], "{unit}");
        assert!(values(&service, "Sockets").contains(&unit.as_str()), "{unit}");
    }
    // Otherwise systemd would remove it, with the socket, whenever the service stops.
    assert!(values(&service, "RuntimeDirectory").is_empty());
}

/// Clouds serve machines' secrets on link-local addresses.
#[test]
fn the_brain_reaches_every_host_but_those_on_its_link() {
    let service = text("maglev-brain.service");
    assert_eq!(values(&service, "IPAddressDeny"), ["any"]);
    let prefixes: Vec<(u32, u32)> =
        values(&service, "IPAddressAllow").into_iter().filter_map(ipv4_prefix).collect();
    let reached = |address: [u8; 4]| {
        let address = u32::from_be_bytes(address);
        prefixes.iter().any(|(prefix, mask)| address & mask == *prefix)
    };
    for first in 1..=223 {
        let neighbours = first == 169;
        for second in 0..=255 {
            let expected = !(neighbours && second == 254);
            assert_eq!(reached([first, second, 0, 1]), expected, "{first}.{second}.0.1");
            assert_eq!(reached([first, second, 255, 254]), expected, "{first}.{second}.255.254");
        }
    }
    assert!(!reached([224, 0, 0, 1]) && !reached([239, 255, 0, 1]) && !reached([255, 255, 255, 255]));
}

/// Prefix and mask of `10.0.0.0/8`; None for IPv6.
fn ipv4_prefix(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let length: u32 = length.parse().unwrap();
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    assert_eq!(u32::from(address) & mask, u32::from(address), "{text} has bits behind its length");
    Some((u32::from(address), mask))
}
