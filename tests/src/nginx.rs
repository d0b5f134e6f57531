//! Debian's nginx as a child process, without privileges and without files outside its directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::certificates::Identity;
use crate::stack::Stack;

/// Its name among the processes of a [`Stack`].
const NAME: &str = "nginx";

/// Configuration around the servers. Offers everything that a probe must not use: keep-alive, compression,
/// resumed sessions.
const FRAME: &str = r#"
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 512; }
http {
    log_format probes escape=json '{"to":"$server_addr","from":"$remote_addr","connection":"$connection",'
        '"requests":"$connection_requests","method":"$request_method","uri":"$request_uri","status":"$status",'
        '"host":"$http_host","agent":"$http_user_agent","coding":"$sent_http_transfer_encoding",'
        '"protocol":"$server_protocol","tls":"$ssl_protocol","sni":"$ssl_server_name","resumed":"$ssl_session_reused"}';
    access_log access.log probes;
    client_body_temp_path temp-body;
    proxy_temp_path temp-proxy;
    fastcgi_temp_path temp-fastcgi;
    uwsgi_temp_path temp-uwsgi;
    scgi_temp_path temp-scgi;
    default_type text/html;
    keepalive_timeout 60s;
    keepalive_requests 1000;
    gzip on;
    gzip_min_length 0;
    ssl_session_cache builtin:1000;
    root www;
SERVERS
}
"#;

/// nginx's directory within a stack's.
#[derive(Debug)]
pub struct Nginx {
    program: PathBuf,
    directory: PathBuf,
}

impl Nginx {
    /// nginx of this machine, if it has one, with its files in the stack's directory.
    pub fn find(stack: &Stack) -> anyhow::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Not on the path of those who are not root.
        let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let Some(program) = directories.map(|directory| directory.join("nginx")).find(|path| path.exists())
        else {
            return Ok(None);
        };
        let directory = stack.directory().join("nginx");
        std::fs::create_dir_all(directory.join("www")).context("cannot make nginx's directories")?;
        Ok(Some(Self { program, directory }))
    }

    /// Writes a file that is served.
    pub fn serve_file(&self, name: &str, content: &str) -> anyhow::Result<()> {
        std::fs::write(self.directory.join("www").join(name), content).context("cannot write a web page")
    }

    /// Writes a certificate and its key; what a `server` needs in order to use them.
    pub fn identity(&self, name: &str, identity: &Identity) -> anyhow::Result<String> {
        for (kind, pem) in [("crt", &identity.chain), ("key", &identity.key)] {
            std::fs::write(self.directory.join(format!("{name}.{kind}")), pem)
                .context("cannot write nginx's certificate")?;
        }
        Ok(format!("ssl_certificate {name}.crt; ssl_certificate_key {name}.key;"))
    }

    /// Writes the configuration: these `server` blocks, and what every nginx needs.
    pub fn configure(&self, servers: &str) -> anyhow::Result<()> {
        std::fs::write(self.configuration(), FRAME.replace("SERVERS", servers))
            .context("cannot write nginx's configuration")
    }

    /// Starts it. It listens when it answers.
    pub fn start(&self, stack: &mut Stack) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.env_clear().arg("-p").arg(&self.directory).arg("-c").arg(self.configuration());
        // Before it has read its configuration, it would write to the system's log.
        command.args(["-e", "error.log"]);
        stack.spawn(NAME, command)
    }

    /// Stops it at once.
    pub fn stop(stack: &mut Stack) -> anyhow::Result<()> {
        stack.kill(NAME)
    }

    /// Every request of which nginx has seen the end.
    pub fn requests(&self) -> anyhow::Result<Vec<Value>> {
        let log = std::fs::read_to_string(self.directory.join("access.log")).context("nginx has no log")?;
        // The last line may be under way.
        let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(|line| serde_json::from_str(line).context("a line of nginx's log")).collect()
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("nginx.conf")
    }

    /// Where certificates and pages are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
