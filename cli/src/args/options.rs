//! Options, which may be given anywhere on the line.

use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::style::Color;
use maglev_proto::client::{ServerAddress, TlsFiles};

/// Options, which may be given anywhere on the line.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help shows it as it is typed")]
    /// Where maglev-brain listens: HOST:PORT, [IPV6]:PORT, tls:HOST:PORT or unix:PATH; several for `show`, with
    /// commas between them. Default: unix:/run/maglev-brain/brain.sock if it exists, else 127.0.0.1:17090
    #[arg(long = "server", global = true, env = "MAGLEV_SERVER", value_name = "ADDR", value_delimiter = ',')]
    servers: Vec<ServerAddress>,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    /// Print the answer as one JSON document instead of a table; for `watch`, one per line
    #[arg(long, global = true, env = "MAGLEV_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Show every column in full; otherwise tables fit the terminal, or 80 columns without one
    #[arg(long, global = true)]
    pub(crate) wide: bool,
    /// Do not ask before the last serving backend of a frontend is taken away
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Do not wait until a change is programmed in VPP
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
    /// In a fleet: change only the load balancer that is asked, until the fleet has a newer intent for the same
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// How long to wait for the connection, and then for the answer: 5s, 250ms. Changes get 10 s more, a sync 30 s
    #[arg(long, global = true, env = "MAGLEV_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// When to colour; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, env = "MAGLEV_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

impl Options {
    /// The distinct servers named; by default the local one.
    pub(crate) fn servers(&self) -> Vec<ServerAddress> {
        if self.servers.is_empty() {
            return vec![ServerAddress::of_this_machine()];
        }
        let mut servers = Vec::new();
        for server in &self.servers {
            if !servers.contains(server) {
                servers.push(server.clone());
            }
        }
        servers
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("a timeout of 0 is too short: give one such as 5s or 250ms".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("a time is a number with a unit, such as 5s or 250ms".to_owned()),
    }
}
