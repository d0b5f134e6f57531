//! Commands that change something.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::args::any_order::AnyOrder;
use crate::args::drain::Drain;
use crate::args::drain_lb::DrainLb;
use crate::args::remark::Remark;
use crate::args::words::{Action, Keyword, SelectBy, keyword, one_of};

/// Keeps the beginnings of `backend` from being ambiguous with `backends`.
pub(super) const SHORT: [&str; 6] = ["b", "ba", "bac", "back", "backe", "backen"];

/// Several backends.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// label or host
    #[arg(value_parser = one_of::<SelectBy>())]
    pub(crate) by: SelectBy,
    /// A label, such as rack=r1; or an address
    pub(crate) value: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    /// Take a backend out of service, or back
    ///
    /// pause: no probes and no new flows; existing flows are left to finish (drain). resume: ends a pause. disable: out of service at once; its flows move to others. enable: back into service, even if
    /// disabled in the configuration. `reason` is shown with the override; `for` and `until` (in UTC) end it by
    /// themselves, five minutes after a warning.
    #[command(
        aliases = SHORT,
        override_usage = "maglevc set backend <NAME> pause|resume|enable|disable [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Backend {
        /// Name of the backend
        name: String,
        /// pause, resume, enable or disable
        #[arg(value_parser = one_of::<Action>())]
        action: Action,
        /// Why, and when the override ends by itself
        #[command(flatten)]
        remark: AnyOrder<Remark<false>>,
    },
    /// Take all backends with a label or at an address out of service, or back, in one change
    ///
    /// As `set backend` does. A backend that refuses it stays as it is, and is named; exit code 1.
    #[command(
        override_usage = "maglevc set backends label <KEY=VALUE>|host <ADDRESS> pause|resume|enable|disable [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Backends {
        #[command(flatten)]
        which: Which,
        /// pause, resume, enable or disable
        #[arg(value_parser = one_of::<Action>())]
        action: Action,
        /// Why, and when the overrides end by themselves
        #[command(flatten)]
        remark: AnyOrder<Remark<false>>,
    },
    /// Override the weight of a backend in a pool
    ///
    /// Waits until VPP is programmed. Setting the configured weight removes the override.
    #[command(
        override_usage = "maglevc set frontend <FRONTEND> pool <POOL> backend <BACKEND> weight <WEIGHT> [flush] \
                          [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Frontend {
        #[command(flatten)]
        member: Member,
        #[arg(value_name = "weight", hide = true, value_parser = keyword("weight"))]
        _weight: Keyword,
        /// 0 to 100: its share of the pool's new flows; 0: none
        #[arg(value_parser = weight)]
        weight: u8,
        /// Whether its existing flows move elsewhere at once, why, and when the override ends by itself
        #[command(flatten)]
        remark: AnyOrder<Remark<true>>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrainWhat {
    /// Take a backend out of service for new flows; existing ones are left to finish
    ///
    /// The same as `set backend NAME pause`. With `wait`, it then waits until the backend has no flow left in any frontend, or
    /// `floor` at most, and shows how many are left: 10 minutes, or the time given. Exit code 6: the time was over
    /// before. The backend stays paused either way, until `undrain`. No flow is left once VPP has sent the backend no
    /// packet for the flow timeout (`flow-timeout`, 40 s).
    #[command(
        aliases = SHORT,
        override_usage = "maglevc drain backend <NAME> [wait [TIME]] [floor <N>] [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Backend {
        /// Name of the backend
        name: String,
        /// Whether to wait for its flows, why, and when the override ends by itself
        #[command(flatten)]
        drain: AnyOrder<Drain>,
    },
    /// The same of all backends with a label or at an address, in one change
    #[command(
        override_usage = "maglevc drain backends label <KEY=VALUE>|host <ADDRESS> [wait [TIME]] [floor <N>] [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Backends {
        #[command(flatten)]
        which: Which,
        /// Whether to wait for their flows, why, and when the overrides end by themselves
        #[command(flatten)]
        drain: AnyOrder<Drain>,
    },
    /// The same of all backends at an address, in one change
    #[command(
        override_usage = "maglevc drain host <ADDRESS> [wait [TIME]] [floor <N>] [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Host {
        /// Their address
        address: String,
        /// Whether to wait for their flows, why, and when the overrides end by themselves
        #[command(flatten)]
        drain: AnyOrder<Drain>,
    },
    /// Withdraw the routes of all VIPs, so that other load balancers get their traffic
    ///
    /// `withdraw`, which is the default, removes them; `gshut` announces them with the community for a graceful shutdown,
    /// so that neighbours prefer others before they change to them. With `wait`, it then waits until the router has done
    /// it and no more than `floor` packets a second come: 10 minutes and 10 packets, or what is given. Exit code 6: the
    /// time was over before. It stays drained either way, also over restarts, until `undrain lb`.
    #[command(
        override_usage = "maglevc drain lb [wait [TIME]] [withdraw|gshut] [floor <N>] [reason <TEXT>] [for <TIME> | until <TIME>]"
    )]
    Lb {
        /// Kind of drain, wait, reason and end
        #[command(flatten)]
        drain: AnyOrder<DrainLb>,
    },
}

impl DrainWhat {
    /// The words after what is drained.
    pub(crate) fn drain(&self) -> &Drain {
        match self {
            Self::Backend { drain, .. } | Self::Backends { drain, .. } | Self::Host { drain, .. } => drain,
            Self::Lb { drain } => &drain.drain,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Undrain {
    /// Take a paused backend back into service, once it is healthy; same as `set backend NAME resume`
    #[command(aliases = SHORT)]
    Backend {
        /// Name of the backend
        name: String,
    },
    /// The same of all backends with a label or at an address
    Backends(Which),
    /// The same of all backends at an address
    Host {
        /// Their address
        address: String,
    },
    /// End the drain of the load balancer: its routes come back as soon as they can serve
    Lb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Generate {
    /// Protocols of BIRD 2 for the VIPs that are announced, to be included in bird.conf
    Bird,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Whatif {
    /// Take a backend out of service or back, or override its weight
    #[command(subcommand)]
    Set(Set),
    /// Remove an override
    #[command(subcommand)]
    Clear(Clear),
    /// The configuration file that maglev-brain was started with
    #[command(subcommand)]
    Config(WhatifConfig),
}

#[derive(Debug, Subcommand)]
pub(crate) enum WhatifConfig {
    /// Reload it as it is now
    Reload,
}

fn weight(text: &str) -> Result<u8, String> {
    let weight = text.parse().ok().filter(|weight| *weight <= 100);
    weight.ok_or_else(|| "a weight is a whole number from 0 to 100".to_owned())
}

/// A backend in a pool of a frontend. The words between the names are arguments, not subcommands: clap would
/// otherwise take a name that abbreviates one for a subcommand.
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
    /// Remove an override from a backend or a weight
    #[command(subcommand)]
    Override(ClearOverride),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClearOverride {
    /// Remove the override of a backend that was paused, disabled or enabled
    Backend {
        /// Name of the backend
        name: String,
    },
    /// Restore the configured weight of a backend in a pool
    #[command(override_usage = "maglevc clear override frontend <FRONTEND> pool <POOL> backend <BACKEND>")]
    Frontend(Member),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Validate the file and show what a reload would change, without changing anything
    // The aliases keep `c` and `r`, which were unique before `confirm` and `rollback`.
    #[command(alias = "c")]
    Check,
    /// Show each value that differs between the configuration in use and the file, and the effect of a reload
    Diff,
    /// Reload the configuration file if it is valid (same as SIGHUP)
    ///
    /// With `confirm`, maglev-brain goes back by itself to the configuration that was confirmed last, unless `config
    /// confirm` comes within the time, such as 5m; a restart of maglev-brain does not change that.
    #[command(alias = "r", override_usage = "maglevc config reload [confirm [TIME]]")]
    Reload {
        #[arg(value_name = "confirm", hide = true, value_parser = keyword("confirm"))]
        confirm: Option<Keyword>,
        /// After `confirm`: time for the confirmation, 10s to 24h; 5m unless it is given
        #[arg(value_parser = humantime::parse_duration)]
        within: Option<Duration>,
    },
    /// Keep the configuration that was reloaded with `confirm`
    Confirm,
    /// Go back to an earlier configuration; the file is left alone
    ///
    /// maglev-brain does not use the file until it is reloaded, or has changed when maglev-brain starts.
    Rollback {
        /// Its number in `config history`; without one, the last configuration before the one in use
        number: Option<u64>,
    },
    /// List the last applied configurations, which `config rollback` can go back to
    History,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Recreate {
    /// Delete and add a frontend's VIP again, with the table length that its weights need
    ///
    /// VPP forgets the VIP's pinned flows: each survives only if the new table sends it to the same backend.
    /// Therefore the word `force` is required.
    #[command(override_usage = "maglevc recreate frontend <NAME> force")]
    Frontend {
        /// Name of the frontend
        name: String,
        /// The word `force`: accept that pinned flows are forgotten
        #[arg(value_name = "force", value_parser = keyword("force"))]
        _force: Keyword,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sync {
    /// Bring VPP's lb plugin to the desired state
    #[command(subcommand)]
    Vpp(SyncVpp),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SyncVpp {
    /// VPP's load-balancer plugin
    #[command(subcommand)]
    Lb(SyncVppLb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SyncVppLb {
    /// Compare VPP's VIPs and application servers with the desired state and fix any difference
    ///
    /// maglev-brain does the same every sync-interval. VPP is read as a whole, which holds up its forwarding
    /// briefly: 2.8 us for each application server.
    State {
        /// Report only on this frontend
        frontend: Option<String>,
    },
}
