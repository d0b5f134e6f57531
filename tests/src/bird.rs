//! Debian's BIRD 2 as child processes, with its files in a stack's directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};

use crate::stack::Stack;

/// A BIRD of its own name.
#[derive(Debug, Clone)]
pub struct Bird {
    program: PathBuf,
    client: PathBuf,
    name: &'static str,
    directory: PathBuf,
    /// The network namespace that it runs in.
    namespace: Option<String>,
}

impl Bird {
    /// BIRD of this machine, if it has one.
    pub fn find(stack: &Stack, name: &'static str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Not on the path of those who are not root.
        let mut directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let directory = directories.find(|directory| directory.join("bird").exists())?;
        let (program, client) = (directory.join("bird"), directory.join("birdc"));
        Some(Self { program, client, name, directory: stack.directory().to_owned(), namespace: None })
    }

    /// The same in a network namespace.
    #[must_use]
    pub fn inside(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.file("ctl")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", self.name))
    }

    /// Writes its configuration, which BIRD itself checks.
    pub fn configure(&self, id: &str, configuration: &str) -> anyhow::Result<()> {
        let text = format!("log stderr all;\nrouter id {id};\nprotocol device {{}}\n{configuration}");
        std::fs::write(self.file("conf"), text)?;
        let checked = said(Command::new(&self.program).arg("-p").arg("-c").arg(self.file("conf")))?;
        if !checked.status.success() {
            bail!("bird -p: {}", String::from_utf8_lossy(&checked.stderr));
        }
        Ok(())
    }

    /// Starts it.
    pub fn start(&self, stack: &mut Stack) -> anyhow::Result<()> {
        let mut command = match &self.namespace {
            None => Command::new(&self.program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.program);
                command
            }
        };
        command.arg("-f").arg("-c").arg(self.file("conf")).arg("-s").arg(self.socket());
        command.arg("-P").arg(self.file("pid"));
        stack.spawn(self.name, command)
    }

    /// What `birdc` prints for a command.
    pub fn ask(&self, command: &str) -> anyhow::Result<String> {
        let output = said(Command::new(&self.client).arg("-s").arg(self.socket()).arg(command))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether one of its tables has a route.
    pub fn has_route(&self, table: &str, prefix: &str) -> anyhow::Result<bool> {
        Ok(self.ask(&format!("show route table {table}"))?.contains(prefix))
    }

    /// How often protocols were enabled and disabled so far, from its log.
    pub fn writes(&self, stack: &Stack) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(stack.log(self.name))?;
        Ok(log.lines().filter(|line| line.contains("abling protocol")).count())
    }
}

fn said(command: &mut Command) -> anyhow::Result<Output> {
    command.output().with_context(|| format!("cannot run {command:?}"))
}

/// Both protocols of an address, as `maglevc generate bird` has them, of which a test is that.
pub fn protocols(address: std::net::Ipv4Addr) -> String {
    let name = format!("maglev_{}", address.to_string().replace('.', "_"));
    let community = " { bgp_community.add((65535, 0)); }";
    let block = |ending: &str, more: &str| {
        format!(
            "protocol static {name}{ending} {{ disabled; ipv4 {{ table maglev4; }}; route {address}/32 blackhole{more}; }}\n"
        )
    };
    format!("ipv4 table maglev4;\n{}{}", block("", ""), block("_gshut", community))
}

/// Two network namespaces with a link between them, which end with this.
#[derive(Debug)]
pub struct Namespaces {
    /// Their names.
    pub names: [String; 2],
}

impl Namespaces {
    /// Makes them; fails without the right to.
    pub fn make(tag: &Path) -> anyhow::Result<Self> {
        let tag = tag.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let namespaces = Self { names: ["a", "b"].map(|side| format!("{tag}-{side}")) };
        let [a, b] = &namespaces.names;
        for name in [a, b] {
            ip(&["netns", "add", name])?;
        }
        ip(&["link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b])?;
        for (name, link, address) in [(a, "va", "192.0.2.1/30"), (b, "vb", "192.0.2.2/30")] {
            ip(&["-n", name, "addr", "add", address, "dev", link])?;
            ip(&["-n", name, "link", "set", link, "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(namespaces)
    }
}

/// A command that runs in a network namespace.
#[must_use]
pub fn inside(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        inside.current_dir(directory);
    }
    inside
}

/// Moves the calling thread into a network namespace.
pub fn enter(namespace: &str) -> anyhow::Result<()> {
    let file = File::open(Path::new("/run/netns").join(namespace))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {namespace}"))
}

/// What `ip` prints, in a namespace.
pub fn ip_in(namespace: &str, words: &str) -> anyhow::Result<String> {
    let output = said(Command::new("ip").args(["-n", namespace]).args(words.split_whitespace()))?;
    if !output.status.success() {
        bail!("ip -n {namespace} {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            // What is left ends with the machine.
            drop(ip(&["netns", "del", name]));
        }
    }
}

/// Runs `ip` with these words.
pub fn ip(words: &[&str]) -> anyhow::Result<()> {
    let output = said(Command::new("ip").args(words))?;
    if !output.status.success() {
        bail!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
