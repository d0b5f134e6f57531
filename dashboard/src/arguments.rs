//! What is said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use maglev_daemon::address::ListenAddress;
use maglev_daemon::log::Format;
use maglev_proto::client::{ServerAddress, TlsFiles};

use crate::access::users::Role;

/// The users file, unless another is named.
const USERS: &str = "/etc/maglev/dashboard-users";

/// Shows one or more Maglev load balancers live in a browser, and changes them, as a client of their maglev-brain.
///
/// It needs no privileges and keeps no state: it may be stopped and started at any time.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Without a subcommand.
    #[command(flatten)]
    pub(crate) serve: Serve,
    /// What else it does.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the pages are about, and where they are served.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help shows it as it is typed")]
    /// Brains, with commas between them: HOST:PORT, [IPV6]:PORT, tls:HOST:PORT or unix:PATH, each also as NAME=ADDR.
    /// Default: unix:/run/maglev-brain/brain.sock if it is there, else 127.0.0.1:17090
    #[arg(long = "server", env = "MAGLEV_SERVER", value_name = "ADDR", value_delimiter = ',')]
    pub(crate) servers: Vec<Named>,
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help shows it as it is typed")]
    /// Where to serve, with commas between them: loopback ADDRESS:PORT, tls:ADDRESS:PORT or unix:PATH
    #[arg(
        long = "listen",
        env = "MAGLEV_DASHBOARD_LISTEN",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: Vec<ListenAddress>,
    /// Names, roles and hashes of passwords of those who log in; written by `maglev-dashboard user`
    #[arg(long, global = true, env = "MAGLEV_DASHBOARD_USERS", value_name = "FILE", default_value = USERS)]
    pub(crate) users: PathBuf,
    /// Certificate for tls: addresses, in PEM, with those between it and its authority
    #[arg(long, env = "MAGLEV_DASHBOARD_CERT", value_name = "FILE")]
    pub(crate) https_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "MAGLEV_DASHBOARD_KEY", value_name = "FILE")]
    pub(crate) https_key: Option<PathBuf>,
    /// Header in which a reverse proxy, connected over the unix socket, names who has logged in there
    #[arg(long, env = "MAGLEV_DASHBOARD_PROXY_HEADER", value_name = "NAME", value_parser = header)]
    pub(crate) proxy_header: Option<String>,
    /// Name under which loopback addresses may be asked without a login, besides localhost
    #[arg(long = "host", env = "MAGLEV_DASHBOARD_HOST", value_name = "NAME", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter
    #[arg(long, env = "MAGLEV_LOG", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// Form of the log's lines where they do not go to the journal
    #[arg(long, env = "MAGLEV_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "logfmt")]
    pub(crate) log_format: Format,
    /// Of connections to brains.
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
}

/// What else it does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Change who may log in
    #[command(subcommand)]
    User(User),
}

/// A change of the users file. A running dashboard takes it on SIGHUP.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user, or give one another password and role; the password is read from the terminal or standard input
    Add {
        /// Name
        name: String,
        /// What the user may do
        #[arg(long, value_name = "ROLE", default_value = "admin")]
        role: Role,
    },
    /// Remove a user
    Remove {
        /// Name
        name: String,
    },
    /// List users and roles
    List,
}

/// A brain, and the name under which it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    name: Option<String>,
    address: ServerAddress,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
        let (name, address) = match named {
            Some(("", _)) => return Err("the name before = is empty: write NAME=ADDR".to_owned()),
            Some((name, address)) => (Some(name.to_owned()), address),
            None => (None, text),
        };
        Ok(Self { name, address: address.parse().map_err(|error| format!("{error}"))? })
    }
}

fn header(text: &str) -> Result<String, String> {
    let name =
        text.parse::<axum::http::HeaderName>().map_err(|_| format!("{text:?} cannot be a header's name"))?;
    Ok(name.as_str().to_owned())
}

impl Serve {
    /// Brains and their names, each address once. Hosts stand for their addresses where that is clear.
    ///
    /// # Errors
    /// If two have one name.
    pub(crate) fn brains(&self) -> Result<Vec<(String, ServerAddress)>, String> {
        let local = [Named { name: None, address: ServerAddress::of_this_machine() }];
        let servers = if self.servers.is_empty() { &local[..] } else { &self.servers };
        let mut brains: Vec<(String, ServerAddress)> = Vec::new();
        for Named { name, address } in servers {
            if brains.iter().any(|(_, known)| known == address) {
                continue;
            }
            let host = |address: &ServerAddress| match address {
                ServerAddress::Tcp { host, .. } | ServerAddress::Tls { host, .. } => Some(host.clone()),
                ServerAddress::Unix(_) => None,
            };
            let is_clear = servers.iter().filter(|other| host(&other.address) == host(address)).count() == 1;
            let short = host(address).filter(|_| is_clear).unwrap_or_else(|| address.to_string());
            let name = name.clone().unwrap_or(short);
            if brains.iter().any(|(known, _)| *known == name) {
                return Err(format!("two brains have the name {name:?}: give each another, as NAME=ADDR"));
            }
            brains.push((name, address.clone()));
        }
        Ok(brains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(servers: &str) -> Result<Vec<String>, String> {
        let arguments = Arguments::parse_from(["maglev-dashboard", "--server", servers]);
        Ok(arguments.serve.brains()?.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn brains_have_short_names_where_those_are_clear() {
        assert_eq!(names("lb1:9090,tls:lb2:9443").unwrap(), ["lb1", "lb2"]);
        assert_eq!(names("lb1:9090,lb1:9091").unwrap(), ["lb1:9090", "lb1:9091"]);
        assert_eq!(names("ams=lb1:9090,unix:/run/a=b.sock").unwrap(), ["ams", "unix:/run/a=b.sock"]);
        assert_eq!(names("lb1:9090,lb1:9090").unwrap(), ["lb1:9090"]);
        assert!(names("a=lb1:9090,a=lb2:9090").unwrap_err().contains("\"a\""));
        assert!(Arguments::try_parse_from(["maglev-dashboard", "--server", "=lb1:9090"]).is_err());
        assert!(Arguments::try_parse_from(["maglev-dashboard", "--server", "lb1"]).is_err());
    }

    #[test]
    fn options_do_not_contradict_each_other() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn only_encrypted_addresses_may_be_reached_from_elsewhere() {
        assert!(Arguments::try_parse_from(["maglev-dashboard", "--listen", "0.0.0.0:8080"]).is_err());
        assert!(
            Arguments::try_parse_from(["maglev-dashboard", "--listen", "tls:0.0.0.0:8443,unix:/x"]).is_ok()
        );
        assert!(Arguments::try_parse_from(["maglev-dashboard", "--proxy-header", "a b"]).is_err());
    }
}
