//! The command tree and its options. Help, abbreviations, completion, the shell and the manual pages are
//! derived from it.

pub(crate) mod any_order;
mod change;
pub(crate) mod check;
pub(crate) mod drain;
pub(crate) mod drain_lb;
pub(crate) mod fleet;
pub(crate) mod history;
mod options;
pub(crate) mod remark;
mod show;
pub(crate) mod watch;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::args::words::one_of;
use crate::top::app::View;

pub(crate) use crate::args::change::{
    Clear, ClearOverride, Config, DrainWhat, Generate, Member, Recreate, Set, Sync, SyncVpp, SyncVppLb,
    Undrain, Whatif, WhatifConfig, Which,
};
pub(crate) use crate::args::check::Check;
pub(crate) use crate::args::fleet::{Fleet, FleetConfig};
pub(crate) use crate::args::options::Options;
pub(crate) use crate::args::show::{Show, ShowVpp, ShowVppLb};
pub(crate) use crate::args::watch::{EventFilter, Events, Watch};
pub(crate) use crate::args::words::{Action, ScriptFor};

const EXAMPLES: &str = "\
Examples:
  maglevc show status                    problems first, then the brain itself
  maglevc show frontends                 all frontends, one line each
  maglevc show frontends shop            its pools, backends and weights
  maglevc show backends down             backends in a state: health, flows
  maglevc show vpp lb state              VPP's state: buckets, shares, flows
  maglevc --server lb1:17090,lb2:17090 show backends   where the two differ
  maglevc watch events backend web1 log level warn
  maglevc top                            live screen: trouble, packets, flows
  maglevc check backend web1 via tunnel   test each hop of the way to it
  maglevc whatif set backend web1 disable   its effect, without doing it
  maglevc drain backend web1 wait 10m    no new flows; wait for the others
  maglevc undrain backend web1           back in service once healthy
  maglevc drain backends label rack=r1 wait   all of a rack, in one change
  maglevc drain lb wait 5m               withdraw all routes; wait for traffic
  maglevc set backend web1 pause reason NOC-123 for 2h
  maglevc set frontend shop pool primary backend web1 weight 10
  maglevc show overrides                 all overrides
  maglevc show history backend web1 since 1d   what happened, and who did it
  maglevc config check                   validate; show what would change
  maglevc fleet config put maglev.yaml canary lb1 soak 5m   to all members
  maglevc fleet status                   what each load balancer runs
  maglevc --json show backends | jq -r '.backends[].name'

Words may be shortened as long as they stay unique: `maglevc sh fr`.

Exit codes: 0 done; 1 refused by maglev-brain, the answer could not be written,
or `show status --check` or `check backend` found problems; 2 wrong usage, or a change that needs
--yes; 3 no answer from maglev-brain (cannot connect, connection lost,
timeout); 4 the change is made, but is not programmed in VPP yet, or a restart
would undo it: the line says which; 5 some of several servers gave no answer;
6 flows or traffic were left when the time of `drain ... wait` was over;
130 Ctrl-C before `watch events num` was complete.";

/// Options come last: there are more of them than of anything else.
const HELP: &str = "{about-section}
{usage-heading} {usage}

Commands:
{subcommands}

{after-help}

Options:
{options}";

/// Shows and changes what a Maglev load balancer is doing: its frontends, backends, and what VPP has.
///
/// maglevc asks maglev-brain, which must be running, over gRPC. Overrides persist across restarts of maglev-brain until they are cleared. Without a command it is a shell with
/// the same commands.
#[derive(Debug, Parser)]
#[command(name = "maglevc", version, infer_subcommands = true, after_help = EXAMPLES)]
#[command(help_template = HELP, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    /// Without a command, maglevc runs a shell.
    #[command(subcommand)]
    pub(crate) command: Option<Entry>,
}

/// Top-level commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Entry {
    #[command(flatten)]
    Ask(Command),
    /// Write a completion script for bash, zsh or fish to standard output
    Completions {
        /// bash, zsh or fish
        #[arg(value_parser = one_of::<ScriptFor>())]
        shell: ScriptFor,
    },
    /// Write the manual pages into a directory
    Man {
        /// Where they are written; it must exist
        directory: PathBuf,
    },
    /// For completion scripts: the words that the last one of a line can become
    #[command(hide = true)]
    Complete {
        /// Without `maglevc`
        #[arg(allow_hyphen_values = true)]
        line: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the state of something
    #[command(subcommand, disable_help_subcommand = true)]
    Show(Show),
    /// Probe a backend once, now
    #[command(subcommand)]
    Check(Check),
    /// Take backends out of service or back, or override a weight
    #[command(subcommand)]
    Set(Set),
    /// Take backends, or the whole load balancer, out of service for new flows, and wait until theirs have ended
    #[command(subcommand)]
    Drain(DrainWhat),
    /// Take drained backends, or the load balancer, back
    #[command(subcommand)]
    Undrain(Undrain),
    /// Write configuration for other programs
    #[command(subcommand)]
    Generate(Generate),
    /// Show what a change would do, without making it
    #[command(subcommand)]
    Whatif(Whatif),
    /// Remove an override
    #[command(subcommand)]
    Clear(Clear),
    /// The configuration file that maglev-brain was started with
    // The alias keeps `co` from being ambiguous with `completions`.
    #[command(subcommand, alias = "co")]
    Config(Config),
    /// Several load balancers with one configuration, through etcd
    #[command(subcommand)]
    Fleet(Fleet),
    /// Delete and re-create a VIP in VPP
    #[command(subcommand)]
    Recreate(Recreate),
    /// Compare VPP with the desired state and fix any difference
    #[command(subcommand)]
    Sync(Sync),
    /// Follow events as they happen
    #[command(subcommand)]
    Watch(Watch),
    /// Show frontends or backends on a live screen, the worst first
    Top(Top),
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// frontends or backends; default: frontends
    #[arg(value_parser = one_of::<View>())]
    pub(crate) view: Option<View>,
    /// Print lists one after the other instead of a screen; without a terminal, one is printed
    #[arg(short, long)]
    pub(crate) batch: bool,
    /// End a batch after this many lists
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) num: Option<u64>,
    /// Time between two readings, at least 500ms
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = refresh)]
    pub(crate) interval: Duration,
}

/// At most an hour.
fn refresh(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(500)..=Duration::from_secs(3600);
    let given = humantime::parse_duration(text).ok().filter(|given| bounds.contains(given));
    given.ok_or_else(|| "a time from 500ms to 1h is expected, such as 2s".to_owned())
}

#[cfg(test)]
mod tests;
