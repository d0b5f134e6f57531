//! The workspace's programs, built if they are not there yet.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail};

/// Directory of the programs, beside which this one was built: `target/debug`, or `target/release` for a
/// release build. The first call builds them, so that a scenario never runs with programs of yesterday.
pub fn directory() -> anyhow::Result<&'static Path> {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    directory.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Path of one of the programs.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = directory()?.join(name);
    if !path.exists() {
        bail!("{} was not built", path.display());
    }
    Ok(path)
}

fn build() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where does this program lie?")?;
    let directory = own.parent().context("this program lies nowhere")?;
    // Test programs lie one level deeper than the others.
    let directory =
        if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    // Cargo tells the programs that it runs where it is itself. Without it, what lies there is what there is.
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(directory.to_owned());
    };
    let mut command = Command::new(cargo);
    // What cargo tells of the test's package would look like another environment to build scripts, and make
    // them and all that depends on them be built again, here and by the next run of the tests.
    let package = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| package(name)) {
        command.env_remove(name);
    }
    command.args(["build", "--quiet", "--locked", "--workspace", "--bins"]);
    command.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"));
    command.arg("--target-dir").arg(directory.parent().context("no target directory")?);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build the programs");
    }
    Ok(directory.to_owned())
}
