//! Debian's etcd as a child process, with its files in a stack's directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::certificates::Authority;
use crate::certificates::NOW;
use crate::stack::{Stack, free_port};
use crate::wait;

/// One etcd, which keeps its data and ports over restarts.
#[derive(Debug)]
pub struct Etcd {
    program: PathBuf,
    client: PathBuf,
    directory: PathBuf,
    port: u16,
    peers: u16,
    has_tls: bool,
    /// User and password of [`ctl`](Self::ctl).
    root: Option<String>,
}

impl Etcd {
    /// etcd of this machine, if it has one.
    pub fn find(stack: &Stack) -> anyhow::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
        let is_there =
            |directory: &PathBuf| directory.join("etcd").exists() && directory.join("etcdctl").exists();
        let Some(found) = directories.find(is_there) else { return Ok(None) };
        let (port, peers) = (free_port()?, free_port()?);
        let directory = stack.directory().to_owned();
        let (program, client) = (found.join("etcd"), found.join("etcdctl"));
        Ok(Some(Self { program, client, directory, port, peers, has_tls: false, root: None }))
    }

    /// The same that takes only clients with a certificate, which is also written for them.
    pub fn with_tls(self) -> anyhow::Result<Self> {
        let authority = Authority::root("etcd's authority")?;
        let server = authority.issue(&["127.0.0.1"], NOW)?;
        let client = authority.issue_client("a client of etcd", NOW)?;
        for (name, text) in [
            ("etcd-ca.pem", authority.pem()),
            ("etcd.pem", server.chain),
            ("etcd.key", server.key),
            ("client.pem", client.chain),
            ("client.key", client.key),
        ] {
            std::fs::write(self.directory.join(name), text)?;
        }
        Ok(Self { has_tls: true, ..self })
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.has_tls { "https" } else { "http" }, self.port)
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&self, stack: &mut Stack) -> anyhow::Result<()> {
        let mut command = std::process::Command::new(&self.program);
        let peers = format!("http://127.0.0.1:{}", self.peers);
        command.env_clear().arg("--data-dir").arg(self.directory.join("etcd"));
        command.args(["--listen-client-urls", &self.endpoint(), "--advertise-client-urls", &self.endpoint()]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}"), "--unsafe-no-fsync"]);
        if self.has_tls {
            let file = |name: &str| self.directory.join(name);
            command.arg("--cert-file").arg(file("etcd.pem")).arg("--key-file").arg(file("etcd.key"));
            command.arg("--trusted-ca-file").arg(file("etcd-ca.pem")).arg("--client-cert-auth");
        }
        stack.spawn("etcd", command)?;
        wait::until("etcd to answer", || async { self.ctl(&["endpoint", "health"]).await.map(Some) })
            .await
            .map(drop)
            .map_err(|error| stack.explain(&error))
    }

    /// Makes everybody need a user; `ctl` is root from then on.
    pub async fn enable_auth(&mut self) -> anyhow::Result<()> {
        self.ctl(&["user", "add", "root:secret"]).await?;
        self.ctl(&["user", "grant-role", "root", "root"]).await?;
        self.ctl(&["auth", "enable"]).await?;
        self.root = Some("root:secret".to_owned());
        Ok(())
    }

    /// What `etcdctl` prints for these words.
    pub async fn ctl(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.client);
        command.env_clear().env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint()]);
        command.args(["--command-timeout", "5s"]);
        if self.has_tls {
            let file = |name: &str| self.directory.join(name);
            command.arg("--cacert").arg(file("etcd-ca.pem"));
            command.arg("--cert").arg(file("client.pem")).arg("--key").arg(file("client.key"));
        }
        if let Some(root) = &self.root {
            command.args(["--user", root]);
        }
        let output = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("etcdctl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("etcdctl does not print UTF-8")
    }

    /// Its revision.
    pub async fn revision(&self) -> anyhow::Result<i64> {
        let text = self.ctl(&["get", "none", "--write-out", "json"]).await?;
        let answer: serde_json::Value = serde_json::from_str(&text)?;
        answer["header"]["revision"].as_i64().with_context(|| format!("no revision in {text}"))
    }
}
