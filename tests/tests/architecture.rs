//! The rules about who may depend on whom.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

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
        // What stands alone.
        ("vppapi", [].as_slice()),
        ("maglev-protocol", &[]),
        ("maglev-proto", &[]),
        ("maglev-table", &[]),
        // Those that speak with VPP, or for it.
        ("vppsim", &["maglev-table", "vppapi"]),
        ("maglev-dpagent", &["maglev-protocol", "vppapi"]),
        // Those that never do.
        ("maglev-brain", &["maglev-proto", "maglev-protocol"]),
        ("maglevc", &["maglev-proto"]),
        ("maglev-tests", &["maglev-protocol"]),
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

/// The Rust files of one of the brain's modules, its tests left out.
fn module_files(module: &str) -> Vec<PathBuf> {
    let source = root().join("brain/src");
    let mut files = rust_files(&source.join(module));
    files.push(source.join(format!("{module}.rs")));
    let is_test = |file: &PathBuf| {
        file.strip_prefix(&source)
            .unwrap()
            .components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
    };
    files.retain(|file| file.exists() && !is_test(file));
    assert!(!files.is_empty(), "brain has no module {module}");
    files
}

#[test]
fn stages_of_the_brain_use_only_stages_before_them() {
    let stages = [
        "config",
        "probe",
        "health",
        "weights",
        "desired",
        "warmup",
        "overrides",
        "agent",
        "controller",
        "reload",
        "grpc",
    ];
    for (position, stage) in stages.iter().enumerate() {
        for file in module_files(stage) {
            let text = std::fs::read_to_string(&file).unwrap();
            for later in &stages[position + 1..] {
                let used =
                    text.contains(&format!("crate::{later}::")) || text.contains(&format!("crate::{later};"));
                assert!(!used, "{} uses {later}, which comes after {stage}", file.display());
            }
        }
    }
}

#[test]
fn deciding_stages_are_pure() {
    for stage in ["health", "weights", "desired", "warmup"] {
        for file in module_files(stage) {
            let text = std::fs::read_to_string(&file).unwrap();
            for impure in
                ["tokio", "Instant::now", "SystemTime::now", "std::fs", "std::net::Tcp", "std::net::Udp"]
            {
                assert!(!text.contains(impure), "{} uses {impure}", file.display());
            }
        }
    }
}

#[test]
fn unsafe_code_is_only_in_the_stats_reader() {
    let mut with_unsafe = Vec::new();
    for package in ["brain", "cli", "dpagent", "proto", "protocol", "table", "tests", "vppapi", "vppsim"] {
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
