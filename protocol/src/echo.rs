//! ICMP echo, which needs a privilege that only the agent has.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shortest payload in bytes: it holds the token that tells an answer from a forgery.
pub const MIN_ECHO_SIZE: u16 = 16;
/// Longest payload in bytes: with its headers it fills an Ethernet frame of 1,500 bytes over IPv4, and over IPv6
/// is below every jumbo frame's.
pub const MAX_ECHO_SIZE: u16 = 1472;
/// Longest wait for an answer.
pub const MAX_ECHO_TIMEOUT: Duration = Duration::from_secs(60);

/// What [`icmp_echo`](crate::Agent::icmp_echo) shall send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoRequest {
    /// Whom to ask. The agent's policy must allow it.
    pub target: IpAddr,
    /// The source, an address of this machine and of the target's family; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// How long to wait for an answer, at most [`MAX_ECHO_TIMEOUT`].
    pub timeout: Duration,
    /// Payload in bytes, [`MIN_ECHO_SIZE`] to [`MAX_ECHO_SIZE`].
    pub size: u16,
}

/// What came of an echo request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EchoOutcome {
    /// The target answered.
    Reply {
        /// Time from sending to the answer's arrival.
        round_trip: Duration,
    },
    /// Nothing came in time.
    TimedOut,
    /// A router, or the target itself, said that the request cannot be delivered.
    Unreachable {
        /// Who said so.
        from: IpAddr,
        /// ICMP type of the message.
        kind: u8,
        /// ICMP code of the message.
        code: u8,
        /// What the two mean.
        meaning: String,
    },
    /// The agent's machine could not send it, for a reason that says nothing of the target: a packet filter, no
    /// room, a source that is not its own.
    NotSent {
        /// What the kernel said.
        reason: String,
    },
    /// The agent's machine has no way to the target: no route, or one that refuses (unreachable, prohibit, blackhole),
    /// or an error that the network reported.
    NoRoute {
        /// What the kernel said.
        reason: String,
    },
}
