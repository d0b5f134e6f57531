//! Commands that show something.

use std::net::SocketAddr;

use clap::Subcommand;

use crate::args::any_order::AnyOrder;
use crate::args::history::HistoryOf;
use crate::args::words::{Protocol, one_of};

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// Versions of maglevc, maglev-brain, its agent and VPP
    Version,
    /// Problems first, then maglev-brain itself: configuration, warm-up, what is up
    Status {
        /// Exit with 0 if there is no problem, otherwise with 1: for monitoring
        #[arg(long)]
        check: bool,
    },
    /// Frontends, the worst first; or one of them with its pools and weights
    Frontends {
        /// Name of one frontend; or part of names, or a state: up, down, unknown
        name: Option<String>,
    },
    /// Backends with their health, the worst first; or one of them with its history
    Backends {
        /// Name of one backend; or part of names, or a state: up, down, unknown, paused, disabled; or the word `label`
        name: Option<String>,
        /// After the word `label`: a label, such as rack=r1
        label: Option<String>,
    },
    /// Health checks, a line each; or one of them with all its settings
    Healthchecks {
        /// Name of one health check
        name: Option<String>,
    },
    /// Which backend VPP gives a new flow to
    ///
    /// Computed from the weights that VPP has, with VPP's own hash and table. A flow that VPP knows already stays where
    /// it is. It reads VPP, as `show vpp lb state` does.
    #[command(override_usage = "maglevc show flow <CLIENT> <VIP> [tcp|udp]")]
    Flow {
        /// The client's ADDRESS:PORT, IPv6 in brackets
        client: SocketAddr,
        /// The same of the VIP
        vip: SocketAddr,
        /// tcp or udp; default: tcp
        #[arg(value_parser = one_of::<Protocol>())]
        protocol: Option<Protocol>,
    },
    /// Routes of the VIPs' addresses: what is decided and why, and what the router has
    Routes,
    /// Progress of the load balancer's drain
    Drain,
    /// Overrides set by operators
    Overrides,
    /// What happened: changes of state, commands and who gave them, reloads, failed syncs
    ///
    /// The newest 100 records, or `num`, also from before a restart of maglev-brain. `backend` and `frontend` select what
    /// is about one of them; `since` takes a time ago, such as 1h, or a time in UTC.
    #[command(
        override_usage = "maglevc show history [backend <NAME>] [frontend <NAME>] [since <TIME>] [num <N>]"
    )]
    History {
        #[command(flatten)]
        of: AnyOrder<HistoryOf>,
    },
    /// The agent: its connection, process and policy
    Agent,
    /// VPP: its connection, VIPs and counters
    #[command(subcommand)]
    Vpp(ShowVpp),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowVpp {
    /// Connections of the agent and of VPP, with versions and ages
    Info,
    /// VPP's load-balancer plugin
    #[command(subcommand)]
    Lb(ShowVppLb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowVppLb {
    /// VIPs and their application servers as VPP has them: weights, buckets, shares, flows
    ///
    /// Each call reads VPP, which holds up its forwarding briefly: 2.8 us for each application server. With
    /// thousands of them, do not poll it.
    State,
    /// VPP's counters of each VIP: packets by kind, bytes
    ///
    /// At most two seconds old, and without cost for VPP.
    Counters {
        /// Only this frontend
        frontend: Option<String>,
    },
}
