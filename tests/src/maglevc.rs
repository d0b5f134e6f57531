//! Runs maglevc, as an operator would.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::binaries;

/// Runs `maglevc` with these words to its end.
async fn output(socket: &Path, words: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new(binaries::program("maglevc")?)
        .arg("--server")
        .arg(format!("unix:{}", socket.display()))
        .args(words)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(output)
}

/// Runs `maglevc` with these words; its standard output.
pub async fn run(socket: &Path, words: &[&str]) -> anyhow::Result<String> {
    let output = output(socket, words).await?;
    if !output.status.success() {
        bail!("maglevc {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("maglevc does not print UTF-8")
}

/// Both outputs, and the exit code.
pub async fn outcome(socket: &Path, words: &[&str]) -> anyhow::Result<(String, Option<i32>)> {
    let output = output(socket, words).await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((said, output.status.code()))
}

/// The standard output with `--json`, parsed.
pub async fn json(socket: &Path, words: &[&str]) -> anyhow::Result<Value> {
    let words: Vec<_> = ["--json"].iter().chain(words).copied().collect();
    let text = run(socket, &words).await?;
    serde_json::from_str(&text).with_context(|| format!("maglevc {}: {text}", words.join(" ")))
}

/// The same of a command that may find fault: its exit code, and what it printed.
pub async fn verdict(socket: &Path, words: &[&str]) -> anyhow::Result<(Option<i32>, Value)> {
    let words: Vec<_> = ["--json"].iter().chain(words).copied().collect();
    let output = output(socket, &words).await?;
    let told = || format!("maglevc {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok((output.status.code(), serde_json::from_slice(&output.stdout).with_context(told)?))
}
