use std::fs::{Permissions, create_dir, set_permissions, write};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::*;

/// The file's content, or why it is not read.
fn read(path: &Path) -> Result<String, String> {
    let opened = open_file(path, geteuid().as_raw());
    let mut file = opened.map_err(|error| match error {
        OpenError::Io(error) => error.to_string(),
        OpenError::Untrusted(reason) => reason,
    })?;
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    Ok(text)
}

/// A directory with a file and a world-writable directory in it.
fn bench() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (file, open) = (directory.path().join("policy.yaml"), directory.path().join("open"));
    write(&file, "right").unwrap();
    create_dir(&open).unwrap();
    set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    (directory, file, open)
}

#[test]
fn links_are_followed_through_directories_that_nobody_else_may_write() {
    let (directory, file, open) = bench();
    let at = |name: &str| directory.path().join(name);
    create_dir(at("one")).unwrap();
    symlink("../policy.yaml", at("one/up")).unwrap();
    symlink("one", at("folder")).unwrap();
    symlink(at("folder/./up"), at("whole")).unwrap();
    for name in ["policy.yaml", "one/up", "folder/up", "whole", "one/../policy.yaml", "./one//up"] {
        assert_eq!(read(&at(name)).as_deref(), Ok("right"), "{name}");
    }
    // With the sticky bit, others may add names, but not replace those of root and the process.
    symlink(&file, open.join("link")).unwrap();
    set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(read(&open.join("link")).as_deref(), Ok("right"));
}

#[test]
fn every_directory_of_every_link_on_the_way_is_looked_at() {
    let (directory, file, open) = bench();
    let at = |name: &str| directory.path().join(name);
    let refused = format!("its directory {} may be written by others (mode 0777)", open.display());
    // The file, its directory and that of the first link are in order.
    symlink(&file, open.join("link")).unwrap();
    symlink("open/link", at("first")).unwrap();
    symlink("open", at("folder")).unwrap();
    create_dir(open.join("deep")).unwrap();
    write(open.join("deep/policy.yaml"), "wrong").unwrap();
    symlink("open/deep", at("deep")).unwrap();
    for name in
        ["first", "folder/link", "open/link", "open/../policy.yaml", "deep/policy.yaml", "deep/../link"]
    {
        let told = read(&at(name)).unwrap_err();
        assert!(told.starts_with(&refused), "{name}: {told}");
    }
    if !geteuid().is_root() {
        return;
    }
    set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    for (found, name) in [
        (open.join("link"), "first"),
        (open.join("deep"), "deep/policy.yaml"),
        (open.join("deep/policy.yaml"), "deep/policy.yaml"),
    ] {
        assert!(read(&at(name)).is_ok(), "{name}");
        lchown(&found, Some(12_345), None).unwrap();
        let told = read(&at(name)).unwrap_err();
        assert!(told.ends_with("belongs to user 12345, it must be root's: chown root"), "{name}: {told}");
        lchown(&found, Some(0), None).unwrap();
    }
}

/// Opening one of them might block forever, or have side effects.
#[test]
fn what_is_no_regular_file_is_not_opened() {
    let (directory, _, _) = bench();
    let at = |name: &str| directory.path().join(name);
    mkfifo(&at("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("fifo", at("link")).unwrap();
    for (path, kind) in [
        (at("fifo"), "FIFO"),
        (at("link"), "FIFO"),
        (at("socket"), "socket"),
        (PathBuf::from("/dev/zero"), "device"),
        (at("."), "directory"),
        (PathBuf::from("/"), "directory"),
    ] {
        let told = read(&path).unwrap_err();
        assert_eq!(told, format!("it is a {kind}, it must be a regular file"), "{}", path.display());
    }
}

#[test]
fn ways_that_lead_nowhere_end() {
    let (directory, _, _) = bench();
    let at = |name: &str| directory.path().join(name);
    symlink("loop", at("loop")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    for (name, words) in [
        ("loop", "Too many levels of symbolic links"),
        ("dangling", "No such file"),
        ("none/policy.yaml", "No such file"),
        ("policy.yaml/more", "Not a directory"),
    ] {
        let told = read(&at(name)).unwrap_err();
        assert!(told.contains(words), "{name}: {told}");
    }
}
