//! The rules about who may depend on whom.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
        // Those that speak with VPP, or for it.
        ("vppsim", &["vppapi"]),
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

/// The Rust files of a module, its tests left out.
fn module_files(source: &Path, module: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    let mut files = vec![source.join(format!("{module}.rs"))];
    walk(&source.join(module), &mut files);
    files.retain(|file| file.exists() && !file.components().any(|part| part.as_os_str() == "tests"));
    assert!(!files.is_empty(), "brain has no module {module}");
    files
}

#[test]
fn stages_of_the_brain_use_only_stages_before_them() {
    let stages = ["config", "probe", "health", "weights", "desired", "agent", "controller", "grpc"];
    let source = root().join("brain/src");
    for (position, stage) in stages.iter().enumerate() {
        for file in module_files(&source, stage) {
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
    let source = root().join("brain/src");
    for stage in ["health", "weights", "desired"] {
        for file in module_files(&source, stage) {
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
    let mut allowed = Vec::new();
    for package in ["brain", "cli", "dpagent", "proto", "protocol", "tests", "vppapi", "vppsim"] {
        let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{package} does not take the workspace's lints"
        );
        for name in ["lib", "main"] {
            allowed.extend(module_files_or_none(&root().join(package).join("src"), name));
        }
    }
    let with_unsafe: Vec<_> = allowed
        .iter()
        .filter(|file| std::fs::read_to_string(file).unwrap().contains("allow(unsafe_code)"))
        .map(|file| file.strip_prefix(root()).unwrap().to_owned())
        .collect();
    assert!(
        with_unsafe.iter().all(|file| file.starts_with("vppapi/src/stats")),
        "unsafe code outside the stats segment's reader: {with_unsafe:?}"
    );
}

/// Every Rust file below a package's source folder, once.
fn module_files_or_none(source: &Path, crate_root: &str) -> Vec<PathBuf> {
    if !source.join(format!("{crate_root}.rs")).exists()
        || (crate_root == "main" && source.join("lib.rs").exists())
    {
        return Vec::new();
    }
    let mut files = Vec::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files
}
