//! The tree of words and options. Help, prefixes of words and, later, completion come from this one tree.

mod words;

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::address::ServerAddress;
use crate::args::words::{Keyword, keyword, one_of};
use crate::style::Color;

pub(crate) use crate::args::words::Action;

const EXAMPLES: &str = "\
Examples:
  maglevc show frontends                 every frontend, a line each
  maglevc show frontends shop            one of them: its pools, backends and weights
  maglevc show backends                  every backend: its health, its newest check
  maglevc show vpp lb state              what VPP really has: buckets, shares, flows
  maglevc set backend web1 pause         no new flows for web1; those that it has end by themselves
  maglevc set backend web1 resume        as before, once it is probed
  maglevc set frontend shop pool primary backend web1 weight 10
  maglevc show overrides                 all that operators have set so
  maglevc config check                   what a reload would find, and change
  maglevc --json show backends | jq -r '.backends[] | select(.state == \"down\") | .name'
  maglevc --server unix:/run/maglev-brain/brain.sock show vpp info

Words may be shortened as long as they stay unique: `maglevc sh fr`, `maglevc sh v l s`.

Exit codes: 0 done; 1 maglev-brain said no, or the answer could not be written; 2 wrong usage;
3 no answer from maglev-brain (cannot connect, connection lost, timeout); 4 the change is made,
but VPP does not have it yet, or a restart would undo it: the line says which.";

/// Shows and changes what a Maglev load balancer is doing: its frontends, backends, and what VPP was told.
///
/// maglevc asks maglev-brain, which must be running, over gRPC. What it sets is kept when maglev-brain is
/// restarted, until it is taken back.
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
    /// How long to wait for the connection, and then for the answer: 5s, 250ms. Changes get 10 s more
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
    /// Take a backend out of service or back, or give it another weight
    #[command(subcommand)]
    Set(Set),
    /// Take back what was set
    #[command(subcommand)]
    Clear(Clear),
    /// The configuration file that maglev-brain was started with
    #[command(subcommand)]
    Config(Config),
    /// Have VPP make something anew
    #[command(subcommand)]
    Recreate(Recreate),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    /// Take a backend out of service, or back
    ///
    /// pause: no probes and no new flows; the flows that it has end by themselves. resume: takes that back.
    /// disable: out of service at once, its flows move to others. enable: takes that back; also for a backend
    /// that the configuration disables.
    #[command(override_usage = "maglevc set backend <NAME> pause|resume|enable|disable")]
    Backend {
        /// Name of the backend
        name: String,
        /// pause, resume, enable or disable
        #[arg(value_parser = one_of::<Action>)]
        action: Action,
    },
    /// Give a backend another weight in a pool than the configured one
    ///
    /// VPP is changed before this ends. The configured weight takes back what was set.
    #[command(
        override_usage = "maglevc set frontend <FRONTEND> pool <POOL> backend <BACKEND> weight <WEIGHT> [flush]"
    )]
    Frontend {
        #[command(flatten)]
        member: Member,
        #[arg(value_name = "weight", hide = true, value_parser = keyword("weight"))]
        _weight: Keyword,
        /// 0 to 100: its share of the pool's new flows; 0: none
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        weight: u8,
        /// The word `flush`: the flows that it has go elsewhere at once
        #[arg(value_parser = keyword("flush"))]
        flush: Option<Keyword>,
    },
}

/// A backend in a pool of a frontend. The words between the names are arguments, not subcommands: those would be
/// taken for the names that they begin with.
#[derive(Debug, Args)]
pub(crate) struct Member {
    /// Name of the frontend
    pub(crate) frontend: String,
    #[arg(value_name = "pool", hide = true, value_parser = keyword("pool"))]
    _pool: Keyword,
    /// Name of the pool
    pub(crate) pool: String,
    #[arg(value_name = "backend", hide = true, value_parser = keyword("backend"))]
    _backend: Keyword,
    /// Name of the backend
    pub(crate) backend: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Clear {
    /// Have the configuration's word again, for a backend or a weight
    #[command(subcommand)]
    Override(ClearOverride),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClearOverride {
    /// A backend that was paused, disabled or enabled does what the configuration says
    Backend {
        /// Name of the backend
        name: String,
    },
    /// A backend has its configured weight in a pool again
    #[command(override_usage = "maglevc clear override frontend <FRONTEND> pool <POOL> backend <BACKEND>")]
    Frontend(Member),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Read and check the file, and tell what a reload would change; changes nothing
    Check,
    /// Take the file anew, if all of it is right; as SIGHUP does
    Reload,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Recreate {
    /// Make a frontend's VIP anew, with the table length that its weights need
    ///
    /// VPP forgets the VIP's pinned flows: each goes on only if the new table sends it to the same backend. For
    /// that reason it must be said twice.
    #[command(override_usage = "maglevc recreate frontend <NAME> force")]
    Frontend {
        /// Name of the frontend
        name: String,
        /// The word `force`: yes, pinned flows may be forgotten
        #[arg(value_name = "force", value_parser = keyword("force"))]
        _force: Keyword,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// maglev-brain itself: since when, its configuration, warm-up, how much is up
    Status,
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
    /// What operators have set and not taken back
    Overrides,
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
