//! The programs compared, each a process with a configuration for the same backends.

use std::fmt::Write;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cores::Cores;

/// Number per frontend of the brain, or per backend section of HAProxy.
const SERVERS: u32 = 20;

/// A program that checks.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    HAProxy(PathBuf),
    Brain(PathBuf),
    /// The bare loop.
    Bare,
}

impl Program {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::HAProxy(_) => "haproxy",
            Self::Brain(_) => "brain",
            Self::Bare => "bare",
        }
    }

    /// The installed HAProxy, if any.
    pub(crate) fn haproxy() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        directories.map(|directory| directory.join("haproxy")).find(|path| path.is_file()).map(Self::HAProxy)
    }

    /// Starts checking this many backends, until dropped.
    pub(crate) fn start(&self, directory: &Path, cores: &Cores, port: u16, backends: u32) -> Checker {
        let config = directory.join(format!("{}-{backends}.conf", self.name()));
        let socket = directory.join(format!("{}.sock", self.name()));
        let mut command = match self {
            Self::HAProxy(path) => {
                std::fs::write(&config, haproxy_config(&socket, port, backends)).unwrap();
                let mut command = Command::new(path);
                command.arg("-db").arg("-f").arg(&config);
                command
            }
            Self::Brain(path) => {
                std::fs::write(&config, brain_config(port, backends)).unwrap();
                let mut command = Command::new(path);
                // There is no such socket: the brain checks without an agent, as HAProxy serves no clients.
                command.arg("--config").arg(&config).arg("--agent").arg(directory.join("no-agent.sock"));
                command.arg("--grpc").arg(format!("unix:{}", socket.display()));
                // What it remembers of earlier backends takes memory.
                let state = directory.join("state");
                drop(std::fs::remove_dir_all(&state));
                command.arg("--state-dir").arg(state);
                command
            }
            Self::Bare => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--bare", &port.to_string(), "--backends", &backends.to_string()]);
                command
            }
        };
        let log = directory.join(format!("{}.log", self.name()));
        let output = File::create(&log).unwrap();
        command.env_clear().stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = cores.spawn(&mut command, cores.measured);
        Checker { child, log }
    }
}

/// A process that checks.
pub(crate) struct Checker {
    child: Child,
    log: PathBuf,
}

impl Checker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Panics with the end of its log if it has exited.
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = std::fs::read_to_string(&self.log).unwrap();
            let tail = log.lines().rev().take(5).collect::<Vec<_>>();
            panic!("{status}:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Address of a backend, on this machine.
pub(crate) fn address(backend: u32) -> Ipv4Addr {
    let [_, _, high, low] = backend.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn haproxy_config(socket: &Path, port: u16, backends: u32) -> String {
    let mut text = format!(
        "global
    nbthread 1
    maxconn 100
    no strict-limits
    spread-checks 10
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    option httpchk GET /health
    http-check expect status 200-399
    default-server check inter 1s rise 2 fall 3
frontend none
    bind unix@{}
    default_backend b0
",
        socket.display()
    );
    for backend in 0..backends {
        if backend % SERVERS == 0 {
            writeln!(text, "backend b{}", backend / SERVERS).unwrap();
        }
        writeln!(text, "    server s{backend} {}:{port}", address(backend)).unwrap();
    }
    text
}

/// The brain's configuration.
pub(crate) fn brain_config(port: u16, backends: u32) -> String {
    let mut text = format!(
        "maglev:
  vpp:
    lb:
      ipv4-src-address: 192.0.2.254
  healthchecks:
    http: {{ type: http, port: {port}, interval: 1s, timeout: 1s, rise: 2, fall: 3, params: {{ path: /health, response-code: 200-399 }} }}
  backends:
"
    );
    for backend in 0..backends {
        writeln!(text, "    s{backend}: {{ address: {}, healthcheck: http }}", address(backend)).unwrap();
    }
    text.push_str("  frontends:\n");
    for backend in 0..backends {
        if backend % SERVERS == 0 {
            let number = backend / SERVERS;
            let [_, _, high, low] = number.to_be_bytes();
            writeln!(
                text,
                "    f{number}:\n      {{ address: 198.18.{high}.{low}, protocol: tcp, port: 80, pools: [ {{ name: p, backends: {{"
            )
            .unwrap();
        }
        writeln!(text, "        s{backend}: {{}},").unwrap();
        if backend % SERVERS == SERVERS - 1 || backend == backends - 1 {
            text.push_str("      } } ] }\n");
        }
    }
    text
}
