//! ICMP echo to thousands of targets at once, over one raw socket per address family.
//!
//! [`open`] needs `CAP_NET_RAW`; nothing after it needs a privilege. [`Pinger::start`] spawns one task, which
//! sends, receives and keeps the timeouts of both families, and ends with the last [`Pinger`]. It may be
//! aborted at any time: pending callers get an error. [`packet`] and [`flight`] are pure; [`flight`] defines
//! what counts as an answer.

pub mod check;
pub mod flight;
pub mod packet;

mod lane;
mod meaning;
mod random;
mod socket;

use std::io;

use maglev_daemon::vital::vital;
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::task::JoinHandle;

use crate::tunnel::Tunnel;

pub use check::EchoError;
pub use flight::Ignored;
use lane::{Decode, Lane, LaneLoop, lane};
pub use socket::{Absent, OpenError, Sockets, open};
use socket::{IcmpSocket, RawSocket};

/// Maximum number of requests in flight per address family. Further ones are refused.
pub const MOST_IN_FLIGHT: usize = 8192;

/// Sends echo requests and waits for the replies.
#[derive(Debug, Clone)]
pub struct Pinger {
    v4: Result<Lane, Absent>,
    v6: Result<Lane, Absent>,
}

impl Pinger {
    /// Starts the task. Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// When the runtime cannot watch the sockets.
    pub fn start(sockets: Sockets) -> io::Result<(Self, JoinHandle<()>)> {
        let Sockets { v4, v6, tunnel } = sockets;
        let (v4, v4_loop) = family(v4, tunnel.clone(), packet::decode_v4)?;
        let (v6, v6_loop) = family(v6, tunnel, packet::decode_v6)?;
        let task = tokio::spawn(vital("echo requests", async move {
            tokio::join!(run(v4_loop), run(v6_loop));
        }));
        Ok((Self { v4, v6 }, task))
    }

    /// Sends an echo request and waits for its outcome, at most for the request's timeout. Dropping the
    /// future cancels the request and frees its slot.
    ///
    /// # Errors
    /// When the request is invalid, or too many are in flight.
    pub async fn echo(&self, request: EchoRequest) -> Result<EchoOutcome, EchoError> {
        check::check(&request)?;
        let lane = if request.target.is_ipv4() { &self.v4 } else { &self.v6 };
        match lane {
            Ok(lane) => lane.echo(request).await,
            Err(absent) => Ok(EchoOutcome::NotSent { reason: absent.to_string() }),
        }
    }

    /// Requests in flight, both families together.
    pub fn in_flight(&self) -> usize {
        self.lanes().map(Lane::in_flight).sum()
    }

    /// Messages that matched no request, both families together.
    pub fn ignored(&self) -> Ignored {
        self.lanes().map(Lane::ignored).fold(Ignored::default(), |sum, more| Ignored {
            malformed: sum.malformed + more.malformed,
            unknown: sum.unknown + more.unknown,
            mismatched: sum.mismatched + more.mismatched,
            unproven: sum.unproven + more.unproven,
        })
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        [&self.v4, &self.v6].into_iter().flatten()
    }
}

type Family = (Result<Lane, Absent>, Option<LaneLoop<IcmpSocket>>);

fn family(socket: Result<RawSocket, Absent>, tunnel: Option<Tunnel>, decode: Decode) -> io::Result<Family> {
    let socket = match socket {
        Ok(socket) => IcmpSocket::new(socket, tunnel)?,
        Err(absent) => return Ok((Err(absent), None)),
    };
    let (lane, lane_loop) = lane(socket, decode);
    Ok((Ok(lane), Some(lane_loop)))
}

async fn run(lane_loop: Option<LaneLoop<IcmpSocket>>) {
    if let Some(lane_loop) = lane_loop {
        lane_loop.run().await;
    }
}

#[cfg(test)]
mod tests;
