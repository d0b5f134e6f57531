//! Debian's FRR as child processes in a network namespace: zebra, which learns routes from the kernel, and bgpd.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use nix::unistd::{User, chown};
use tempfile::TempDir;

use crate::stack::Stack;

const PROGRAMS: &str = "/usr/lib/frr";
const USER: &str = "frr";

/// FRR with its files in a directory of its own user.
#[derive(Debug)]
pub struct Frr {
    directory: TempDir,
    namespace: String,
}

impl Frr {
    /// FRR of this machine in a namespace, if it has one; only root can start it.
    pub fn find(namespace: &str) -> Option<Self> {
        let is_there = ["zebra", "bgpd"].iter().all(|program| Path::new(PROGRAMS).join(program).exists());
        let user = User::from_name(USER).ok()?.filter(|_| is_there)?;
        let directory = TempDir::new().ok()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).ok()?;
        chown(directory.path(), Some(user.uid), Some(user.gid)).ok()?;
        Some(Self { directory, namespace: namespace.to_owned() })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts zebra, then bgpd, with these configurations.
    pub fn start(&self, stack: &mut Stack, zebra: &str, bgpd: &str) -> anyhow::Result<()> {
        for (program, configuration) in [("zebra", zebra), ("bgpd", bgpd)] {
            let file = self.file(&format!("{program}.conf"));
            std::fs::write(&file, configuration).context("cannot write FRR's configuration")?;
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.namespace]).arg(Path::new(PROGRAMS).join(program));
            command.arg("-f").arg(file).arg("-i").arg(self.file(&format!("{program}.pid")));
            command.arg("-z").arg(self.file("zserv.api")).arg("--vty_socket").arg(self.directory.path());
            command.args(["--log", "stdout"]);
            stack.spawn(program, command)?;
        }
        Ok(())
    }
}
