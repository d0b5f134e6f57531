//! The Debian packages' contents, as far as they can be checked without building them; `packaging/try.sh`
//! installs them.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use maglev_dpagent::policy;

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Where the scripts of the package lie that brings this unit.
fn scripts_of(unit: &str) -> PathBuf {
    folder(if unit.contains("dashboard") { "packaging/dashboard" } else { "packaging/debian" })
}

fn script(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A new agent must change nothing before somebody has decided what it may.
#[test]
fn the_policy_to_fill_in_allows_nothing() {
    let text = fs::read_to_string(folder("packaging/policy.yaml")).unwrap();
    let policy = policy::parse(&text, "policy.yaml").unwrap();
    assert!(policy.vips.is_empty() && policy.servers.is_empty() && policy.ping.is_empty(), "{policy:?}");
}

/// Its examples, in comments, are what they claim to be.
#[test]
fn the_policys_examples_can_be_taken() {
    let text = fs::read_to_string(folder("packaging/policy.yaml")).unwrap();
    let taken: Vec<_> = text
        .lines()
        .filter(|line| !line.ends_with(": []"))
        .map(|line| {
            line.strip_prefix("# ").filter(|line| line.ends_with(']') || is_limit(line)).unwrap_or("")
        })
        .collect();
    let policy = policy::parse(&taken.join("\n"), "policy.yaml").unwrap();
    assert_eq!((policy.vips.len(), policy.servers.len(), policy.ping.len()), (2, 1, 1));
    assert!(policy.routes.is_some());
    assert_eq!(policy.limits, policy::Limits::default(), "the limits shown are not the defaults");
    let left_out = policy::parse("vips: []\nservers: []\n", "policy.yaml").unwrap();
    assert_eq!(policy.settings, left_out.settings, "the lb settings shown are not the defaults");
}

fn is_limit(line: &str) -> bool {
    ["limits:", "lb-settings:", "routes:"].contains(&line) || (line.starts_with("  ") && line.contains(": "))
}

/// Each script is for `/bin/sh`, and ends at the first thing that fails.
#[test]
fn the_scripts_can_be_read_by_sh() {
    for (folder, name) in ["packaging/debian", "packaging/dashboard"]
        .iter()
        .flat_map(|folder| SCRIPTS.map(|name| (*folder, name)))
    {
        let path = self::folder(folder);
        let text = script(&path, name);
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{folder}/{name}");
        let status = Command::new("/bin/sh").arg("-n").arg(path.join(name)).status();
        assert!(status.unwrap().success(), "{folder}/{name}");
    }
}

/// A unit that is added is also enabled, stopped and forgotten.
#[test]
fn the_scripts_know_every_unit() {
    for entry in fs::read_dir(folder("systemd")).unwrap() {
        let unit = entry.unwrap().file_name().into_string().unwrap();
        if unit.ends_with(".service") || unit.ends_with(".socket") {
            for name in SCRIPTS {
                assert!(script(&scripts_of(&unit), name).contains(&unit), "{name} does not know {unit}");
            }
        }
    }
}

/// Users that the units run as are made by the package.
#[test]
fn the_users_of_the_units_are_made() {
    for (unit, users) in [
        ("maglev-brain.service", "maglev.conf"),
        ("maglev-dpagent.service", "maglev.conf"),
        ("maglev-dashboard.service", "maglev-dashboard.conf"),
    ] {
        let users = fs::read_to_string(folder("systemd/sysusers.d").join(users)).unwrap();
        let text = fs::read_to_string(folder("systemd").join(unit)).unwrap();
        let user = text.lines().find_map(|line| line.strip_prefix("User=")).expect("a user");
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{unit}: {user}");
    }
}

/// In a mount namespace of its own, for which it takes root.
#[test]
fn purge_ends_well_over_mount_points_and_links_and_twice() {
    let lay_out = "mount --make-rprivate / && mount -t tmpfs t /var/lib && mount -t tmpfs t /etc && \
                   mkdir -p /var/lib/elsewhere /var/lib/maglev /etc/maglev && touch /etc/maglev/maglev.yaml";
    for state in
        ["mount -t tmpfs volume /var/lib/maglev", "rmdir /var/lib/maglev && ln -s elsewhere /var/lib/maglev"]
    {
        let purge = format!("sh {} purge >/dev/null", folder("packaging/debian/postrm").display());
        let script = format!(
            "{lay_out} && {state} && touch /var/lib/maglev/overrides || exit 77\n{purge} && {purge} || exit 1\n\
             test -z \"$(ls /var/lib/maglev/ /var/lib/elsewhere/ 2>/dev/null | grep overrides)\" && test ! -e /etc/maglev"
        );
        let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output();
        match output.ok().and_then(|output| output.status.code()) {
            Some(code @ (0 | 1)) => assert_eq!(code, 0, "{state}"),
            _ => maglev_tests::skipped("purging over mount points; it takes root and unshare"),
        }
    }
}
