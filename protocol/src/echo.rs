//! ICMP echo, which needs a privilege that only the agent has.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Minimum payload in bytes: room for the token that distinguishes a reply from a forgery.
pub const MIN_ECHO_SIZE: u16 = 16;
/// Maximum payload in bytes: with its headers it fills an Ethernet frame of 1,500 bytes over IPv4, and is
/// below any jumbo frame over IPv6.
pub const MAX_ECHO_SIZE: u16 = 1472;
/// Maximum timeout.
pub const MAX_ECHO_TIMEOUT: Duration = Duration::from_secs(60);

/// Request of [`icmp_echo`](crate::Agent::icmp_echo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoRequest {
    /// Destination. The agent's policy must allow it.
    pub target: IpAddr,
    /// Source, an address of this machine and of the target's family; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// Timeout, at most [`MAX_ECHO_TIMEOUT`].
    pub timeout: Duration,
    /// Payload in bytes, [`MIN_ECHO_SIZE`] to [`MAX_ECHO_SIZE`].
    pub size: u16,
}

/// Outcome of an echo request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EchoOutcome {
    /// The target answered.
    Reply {
        /// Time from sending the request to receiving the reply.
        round_trip: Duration,
    },
    /// No reply before the timeout.
    TimedOut,
    /// A router, or the target itself, reported the target unreachable.
    Unreachable {
        /// Sender of the report.
        from: IpAddr,
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
        /// Meaning of type and code.
        meaning: String,
    },
    /// The agent's machine could not send it, for a reason that says nothing about the target: a packet
    /// filter, no memory, a source that is not its own.
    NotSent {
        /// The kernel's error.
        reason: String,
    },
    /// The agent's machine has no route to the target, or one that refuses (unreachable, prohibit,
    /// blackhole), or the network reported an error.
    NoRoute {
        /// The kernel's error.
        reason: String,
    },
}
