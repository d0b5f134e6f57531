//! Rules on dependencies: among crates, and among the modules of a crate.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use modules::{Module, Modules};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Dependencies among the workspace's own packages, those of tests left out.
fn own_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let own: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let dependencies = metadata.packages.iter().map(|package| {
        let dependencies =
            package.dependencies.iter().filter(|found| found.kind != DependencyKind::Development);
        let names = dependencies.map(|found| found.name.clone()).filter(|name| own.contains(name));
        (package.name.to_string(), names.collect())
    });
    dependencies.collect()
}

#[test]
fn packages_depend_only_on_what_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = [
        // Usable on its own.
        ("vppapi", [].as_slice()),
        ("maglev-protocol", &[]),
        ("maglev-proto", &[]),
        ("maglev-daemon", &[]),
        ("maglev-table", &[]),
        ("maglev-tls", &[]),
        // Those that speak with VPP, or for it.
        ("vppsim", &["maglev-daemon", "maglev-table", "vppapi"]),
        ("maglev-dpagent", &["maglev-daemon", "maglev-protocol", "vppapi"]),
        // Those that never do.
        ("maglev-engine", &["maglev-protocol", "maglev-table", "maglev-tls"]),
        ("maglev-probe", &["maglev-engine", "maglev-protocol", "maglev-tls"]),
        (
            "maglev-brain",
            &[
                "maglev-daemon",
                "maglev-engine",
                "maglev-probe",
                "maglev-proto",
                "maglev-protocol",
                "maglev-tls",
            ],
        ),
        ("maglevc", &["maglev-daemon", "maglev-proto", "maglev-table"]),
        ("maglev-dashboard", &["maglev-daemon", "maglev-proto"]),
        (
            "maglev-tester",
            &[
                "maglev-daemon",
                "maglev-engine",
                "maglev-probe",
                "maglev-proto",
                "maglev-protocol",
                "maglev-table",
            ],
        ),
        ("maglev-tests", &["maglev-protocol", "maglev-tester"]),
    ]
    .into();
    let found = own_dependencies();
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        allowed.keys().copied().collect::<Vec<_>>(),
        "a package came or went: say here what it may depend on"
    );
    for (package, dependencies) in found {
        let allowed: BTreeSet<_> = allowed[package.as_str()].iter().map(|name| (*name).to_owned()).collect();
        let forbidden: Vec<_> = dependencies.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "{package} must not depend on {forbidden:?}");
    }
}

/// The modules of a package.
fn modules(package: &str) -> Modules {
    let folder = root().join(package.trim_start_matches("maglev-")).join("src");
    Modules::read(&folder, &rust_files(&folder))
}

/// The Rust files in and below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn engine_does_no_io() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    for pure in ["maglev-engine", "maglev-table", "maglev-tls"] {
        let package = metadata.packages.iter().find(|package| *package.name == pure).unwrap();
        let own = package.dependencies.iter().filter(|found| found.kind == DependencyKind::Normal);
        for dependency in own.map(|found| found.name.as_str()) {
            let impure = ["tokio", "futures", "hyper", "nix", "socket2", "fastrand", "getrandom", "tempfile"];
            assert!(!impure.iter().any(|name| dependency.starts_with(name)), "{pure} uses {dependency}");
        }
        let modules = modules(pure);
        for (module, text) in modules.texts() {
            for impure in
                ["Instant::now", "SystemTime::now", "std::fs", "std::env", "std::net::Tcp", "std::net::Udp"]
            {
                assert!(!text.contains(impure), "{pure}: {module:?} uses {impure}");
            }
        }
    }
}

/// The modules of the engine, in their order.
const STAGES: [&str; 23] = [
    "kind",
    "config",
    "revisions",
    "outcome",
    "tunnel",
    "vpp_faults",
    "schedule",
    "health",
    "votes",
    "weights",
    "desired",
    "warmup",
    "routes",
    "overrides",
    "tally",
    "agent",
    "syncs",
    "snapshot",
    "core",
    "fleet",
    "preview",
    "history",
    "webhooks",
];

#[test]
fn stages_of_the_engine_use_only_stages_before_them() {
    let modules = modules("maglev-engine");
    let found: BTreeSet<_> = modules.texts().filter_map(|(module, _)| module.first()).collect();
    assert_eq!(
        found,
        STAGES.map(String::from).iter().collect(),
        "a stage came or went: say here where it stands"
    );
    let place =
        |module: &Module| STAGES.iter().position(|stage| module.first().is_some_and(|own| own == stage));
    for (user, used) in modules.uses() {
        if let (Some(user_place), Some(used_place)) = (place(&user), place(&used)) {
            assert!(used_place <= user_place, "{user:?} uses {used:?}, which comes after it");
        }
    }
}

#[test]
fn modules_use_each_other_in_no_circle() {
    for package in [
        "maglev-brain",
        "maglev-dashboard",
        "maglev-engine",
        "maglev-probe",
        "maglev-proto",
        "maglev-protocol",
        "maglev-table",
        "maglev-tester",
        "maglev-tls",
    ] {
        let circles = modules(package).circles();
        assert!(circles.is_empty(), "circles of imports in {package}: {circles:#?}");
    }
}

#[test]
fn unsafe_code_is_only_in_the_stats_reader() {
    let mut with_unsafe = Vec::new();
    let packages = [
        "brain",
        "cli",
        "daemon",
        "dashboard",
        "dpagent",
        "engine",
        "probe",
        "proto",
        "protocol",
        "table",
        "tester",
        "tests",
        "tls",
        "vppapi",
        "vppsim",
    ];
    for package in packages {
        let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{package} does not take the workspace's lints"
        );
        let files = rust_files(&root().join(package).join("src"));
        assert!(!files.is_empty(), "{package} has no source");
        let allows = |file: &PathBuf| std::fs::read_to_string(file).unwrap().contains("unsafe {");
        with_unsafe.extend(files.into_iter().filter(allows));
    }
    let allowed = root().join("vppapi/src/stats");
    assert!(!with_unsafe.is_empty(), "the stats reader is somewhere else now: say here where");
    let forbidden: Vec<_> = with_unsafe.iter().filter(|file| !file.starts_with(&allowed)).collect();
    assert!(forbidden.is_empty(), "unsafe code outside the stats segment's reader: {forbidden:?}");
}
