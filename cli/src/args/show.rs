//! Words that show something.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// Versions of maglevc, maglev-brain, its agent and VPP
    Version,
    /// Problems first, then maglev-brain itself: configuration, warm-up, how much is up
    Status {
        /// Exit with 0 only if all is well, else with 1: for monitoring
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
        /// Name of one backend; or part of names, or a state: up, down, unknown, paused, disabled
        name: Option<String>,
    },
    /// Health checks, a line each; or one of them with all its settings
    Healthchecks {
        /// Name of one health check
        name: Option<String>,
    },
    /// What operators have set and not taken back
    Overrides,
    /// The agent: the connection to it, and what it is
    Agent,
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
    /// What VPP counts of each VIP: packets by kind, bytes
    ///
    /// At most two seconds old, and without cost for VPP.
    Counters {
        /// Only this frontend
        frontend: Option<String>,
    },
}
