//! Debian's etcd as child processes, with its files in a stack's directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::bird::inside;
use crate::certificates::Authority;
use crate::certificates::NOW;
use crate::stack::{Stack, free_port};
use crate::wait;

/// One etcd of one or several nodes, which keep their data and ports over restarts.
#[derive(Debug)]
pub struct Etcd {
    program: PathBuf,
    client: PathBuf,
    directory: PathBuf,
    nodes: Vec<Node>,
    has_tls: bool,
    /// User and password of [`ctl`](Self::ctl).
    root: Option<String>,
}

/// Where a node is.
#[derive(Debug)]
struct Node {
    /// Name of its process and of its data's directory.
    name: String,
    host: Ipv4Addr,
    port: u16,
    peers: u16,
    /// The network namespace that it runs in.
    namespace: Option<String>,
}

impl Node {
    fn new(number: usize, host: Ipv4Addr, namespace: Option<&str>) -> anyhow::Result<Self> {
        let name = if number == 0 { "etcd".to_owned() } else { format!("etcd{}", number + 1) };
        let namespace = namespace.map(ToOwned::to_owned);
        Ok(Self { name, host, port: free_port()?, peers: free_port()?, namespace })
    }

    fn peer(&self) -> String {
        format!("http://{}:{}", self.host, self.peers)
    }
}

impl Etcd {
    /// etcd of this machine with one node, if it has one.
    pub fn find(stack: &Stack) -> anyhow::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
        let is_there =
            |directory: &PathBuf| directory.join("etcd").exists() && directory.join("etcdctl").exists();
        let Some(found) = directories.find(is_there) else { return Ok(None) };
        let nodes = vec![Node::new(0, Ipv4Addr::LOCALHOST, None)?];
        let directory = stack.directory().to_owned();
        let (program, client) = (found.join("etcd"), found.join("etcdctl"));
        Ok(Some(Self { program, client, directory, nodes, has_tls: false, root: None }))
    }

    /// The same with so many nodes.
    pub fn with_nodes(self, count: usize) -> anyhow::Result<Self> {
        let nodes = (0..count).map(|number| Node::new(number, Ipv4Addr::LOCALHOST, None));
        Ok(Self { nodes: nodes.collect::<anyhow::Result<_>>()?, ..self })
    }

    /// The same with a node in each of these network namespaces, at its address.
    pub fn inside(self, namespaces: &[(String, Ipv4Addr)]) -> anyhow::Result<Self> {
        let nodes = namespaces.iter().enumerate();
        let nodes = nodes.map(|(number, (namespace, host))| Node::new(number, *host, Some(namespace)));
        Ok(Self { nodes: nodes.collect::<anyhow::Result<_>>()?, ..self })
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

    /// Where clients connect: the first node's.
    pub fn endpoint(&self) -> String {
        self.endpoints().swap_remove(0)
    }

    /// The same of every node.
    pub fn endpoints(&self) -> Vec<String> {
        let scheme = if self.has_tls { "https" } else { "http" };
        self.nodes.iter().map(|node| format!("{scheme}://{}:{}", node.host, node.port)).collect()
    }

    /// Name of a node's process.
    pub fn process(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    /// Starts all nodes, and waits until they answer.
    pub async fn start(&self, stack: &mut Stack) -> anyhow::Result<()> {
        for node in 0..self.nodes.len() {
            self.start_node(stack, node)?;
        }
        self.wait(stack).await
    }

    /// Waits until all nodes answer, which they do only with a quorum.
    pub async fn wait(&self, stack: &Stack) -> anyhow::Result<()> {
        wait::until("etcd to answer", || async { self.ctl(&["endpoint", "health"]).await.map(Some) })
            .await
            .map(drop)
            .map_err(|error| stack.explain(&error))
    }

    /// Starts a node.
    pub fn start_node(&self, stack: &mut Stack, node: usize) -> anyhow::Result<()> {
        let mut command = std::process::Command::new(&self.program);
        let (endpoint, node) = (self.endpoints().swap_remove(node), &self.nodes[node]);
        let all = self.nodes.iter().map(|node| format!("{}={}", node.name, node.peer()));
        command.env_clear().args(["--name", &node.name]);
        command.arg("--data-dir").arg(self.directory.join(&node.name));
        command.args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint]);
        command.args(["--listen-peer-urls", &node.peer(), "--initial-advertise-peer-urls", &node.peer()]);
        command.args(["--initial-cluster", &all.collect::<Vec<_>>().join(","), "--unsafe-no-fsync"]);
        if self.has_tls {
            let file = |name: &str| self.directory.join(name);
            command.arg("--cert-file").arg(file("etcd.pem")).arg("--key-file").arg(file("etcd.key"));
            command.arg("--trusted-ca-file").arg(file("etcd-ca.pem")).arg("--client-cert-auth");
        }
        if let Some(namespace) = &node.namespace {
            command = inside(namespace, &command);
        }
        stack.spawn(&node.name, command)
    }

    /// Sends a signal to a node: to stop one and to let it go on is what a disk does that hangs.
    pub fn signal(&self, stack: &Stack, node: usize, signal: Signal) -> anyhow::Result<()> {
        let pid = stack.pid(&self.nodes[node].name).context("the node does not run")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
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
        let mut command = std::process::Command::new(&self.client);
        command.env_clear().env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoints().join(",")]);
        command.args(["--command-timeout", "5s"]);
        if self.has_tls {
            let file = |name: &str| self.directory.join(name);
            command.arg("--cacert").arg(file("etcd-ca.pem"));
            command.arg("--cert").arg(file("client.pem")).arg("--key").arg(file("client.key"));
        }
        if let Some(root) = &self.root {
            command.args(["--user", root]);
        }
        command.args(words);
        if let Some(namespace) = &self.nodes[0].namespace {
            command = inside(namespace, &command);
            command.env("ETCDCTL_API", "3");
        }
        let output = Command::from(command).stdin(Stdio::null()).kill_on_drop(true).output().await?;
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
