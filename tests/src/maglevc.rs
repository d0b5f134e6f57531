//! Runs maglevc, as an operator would.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::binaries;

/// Runs `maglevc` with these words; its standard output.
pub async fn run(socket: &Path, words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binaries::program("maglevc")?)
        .arg("--server")
        .arg(format!("unix:{}", socket.display()))
        .args(words)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        bail!("maglevc {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("maglevc does not print UTF-8")
}

/// The same with `--json`, parsed.
pub async fn json(socket: &Path, words: &[&str]) -> anyhow::Result<Value> {
    let words: Vec<_> = ["--json"].iter().chain(words).copied().collect();
    let text = run(socket, &words).await?;
    serde_json::from_str(&text).with_context(|| format!("maglevc {}: {text}", words.join(" ")))
}
