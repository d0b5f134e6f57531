//! The tree of words and options. Help, prefixes of words and, later, completion come from this one tree.

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::address::ServerAddress;
use crate::style::Color;

const EXAMPLES: &str = "\
Examples:
  maglevc show frontends                 every frontend, a line each
  maglevc show frontends shop            one of them: its pools, backends and weights
  maglevc show backends                  every backend: its health, its newest check
  maglevc show vpp lb state              what VPP really has: buckets, shares, flows
  maglevc --json show backends | jq -r '.backends[] | select(.state == \"down\") | .name'
  maglevc --server unix:/run/maglev-brain/brain.sock show vpp info

Words may be shortened as long as they stay unique: `maglevc sh fr`, `maglevc sh v l s`.

Exit codes: 0 done; 1 maglev-brain said no, or the answer could not be written; 2 wrong usage;
3 no answer from maglev-brain (cannot connect, connection lost, timeout).";

/// Shows what a Maglev load balancer is doing: its frontends, backends, and what VPP was told.
///
/// maglevc asks maglev-brain, which must be running, over gRPC. It changes nothing.
#[derive(Debug, Parser)]
#[command(name = "maglevc", version, infer_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Taken anywhere on the line.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where maglev-brain listens: HOST:PORT, [IPV6]:PORT, http://HOST:PORT or unix:PATH
    #[arg(long, global = true, env = "MAGLEV_SERVER", value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(crate) server: ServerAddress,
    /// Print the answer as one JSON document instead of a table
    #[arg(long, global = true, env = "MAGLEV_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// How long to wait for the connection, and then for the answer: 5s, 250ms
    #[arg(long, global = true, env = "MAGLEV_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// When to colour; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, env = "MAGLEV_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the state of something
    #[command(subcommand)]
    Show(Show),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// Frontends, a line each; or one of them with its pools and weights
    Frontends {
        /// Name of one frontend
        name: Option<String>,
    },
    /// Backends with their health, a line each; or one of them with its history
    Backends {
        /// Name of one backend
        name: Option<String>,
    },
    /// VPP: the connection to it, and what it forwards
    #[command(subcommand)]
    Vpp(ShowVpp),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowVpp {
    /// Who is connected: the agent, and the agent to VPP; versions and ages
    Info,
    /// VPP's load-balancer plugin
    #[command(subcommand)]
    Lb(ShowVppLb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowVppLb {
    /// VIPs and their application servers as VPP has them: weights, buckets, shares, flows
    ///
    /// Read from VPP at each call, which holds up its forwarding for a moment: 2.8 us for each application
    /// server. With thousands of them, do not ask every second.
    State,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => {
            Err("a timeout of 0 lets nothing be answered: give one as 5s or 250ms".to_owned())
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err("a time is a number and its unit, as 5s or 250ms".to_owned()),
    }
}

#[cfg(test)]
mod tests;
