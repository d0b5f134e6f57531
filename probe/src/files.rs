//! Reads files that checks need: the configuration and CA files. All functions block on the disk.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maglev_engine::config::{LoadError, Loaded, parse_bytes};
use maglev_tls::authorities::{Authorities, Contents};
use nix::fcntl::OFlag;

/// Maximum size of a configuration, in bytes: ten times what 50,000 backends need.
pub const LARGEST_CONFIGURATION: u64 = 64 << 20;
/// Maximum size of a CA file, in bytes: ten times Debian's bundle of all public ones.
const LARGEST_FILE: u64 = 4 << 20;

/// Reads and validates a configuration file, with the CA files that it names.
///
/// # Errors
/// If it cannot be read, is larger than 64 MiB, or [`parse_bytes`] refuses it.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    parse(&path.display().to_string(), &read(path)?)
}

/// Reads a configuration file, without looking at its contents.
///
/// # Errors
/// If it cannot be read, or is larger than 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    read_regular(path, LARGEST_CONFIGURATION).map_err(unreadable)
}

/// Validates a configuration, with the CA files that it names; `name` is shown in the diagnostics.
///
/// # Errors
/// If [`parse_bytes`] refuses it.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Loaded, LoadError> {
    Ok(parse_bytes(name, bytes, &read_file, SystemTime::now())?)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_regular(path, LARGEST_FILE)
}

/// Reads a regular file of at most this size.
///
/// # Errors
/// If it is not a regular file, is larger, or cannot be read.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Non-blocking, since opening a pipe would wait for its other end.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > most) {
        let reason = format!("it is larger than {most} bytes, the most that is read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// Reads the system's authorities: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if set, else the
/// distribution's. Also returns warnings about them.
pub fn of_system(now: SystemTime) -> (Authorities, Vec<String>) {
    let (file, folders) = match (std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR")) {
        (None, None) => {
            let found = openssl_probe::probe();
            (found.cert_file, found.cert_dir)
        }
        (file, folders) => {
            let folders = folders.iter().flat_map(std::env::split_paths).collect();
            (file.map(PathBuf::from), folders)
        }
    };
    of_files(file.as_deref(), &folders, now)
}

fn of_files(file: Option<&Path>, folders: &[PathBuf], now: SystemTime) -> (Authorities, Vec<String>) {
    let mut all = Contents::default();
    let (mut words, mut outdated) = (Vec::new(), Vec::new());
    let mut take = |path: &Path, is_named: bool| {
        match read_file(path) {
            Ok(bytes) => all.add(&bytes, now),
            // A directory may contain anything.
            Err(_) if !is_named => {}
            Err(error) => words.push(format!("{} cannot be read: {error}", path.display())),
        }
        let doubts = all.doubts.drain(..).filter(|doubt| is_named || !doubt.is_left_out());
        let (old, doubts): (Vec<_>, Vec<_>) = doubts.partition(|doubt| doubt.is_of_dates());
        let place = |line, what| format!("the section at line {line} of {} {what}", path.display());
        outdated.extend(old.into_iter().map(|doubt| place(doubt.line, doubt.what)));
        words.extend(doubts.into_iter().map(|doubt| place(doubt.line, doubt.what)));
        words.extend(all.broken.drain(..).map(|(line, what)| place(line, what)));
    };
    if let Some(file) = file {
        take(file, true);
    }
    for folder in folders {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| take(path, false));
    }
    // Distributions keep expired ones for years, so one message for all is enough.
    if let Some(first) = outdated.first() {
        words.push(format!("{} have expired or are not valid yet; the first: {first}", outdated.len()));
    }
    (all.authorities, words)
}

#[cfg(test)]
mod tests;
