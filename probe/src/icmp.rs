//! ICMP echo of a probe. It needs a privilege that no probe has, so it is delegated: maglev-brain delegates
//! it to the agent. A failure to send says nothing about the backend, and results in [`ProbeCode::SockErr`]:
//! a restarting agent does not take a site down.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use maglev_engine::outcome::ProbeCode;
use maglev_protocol::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};
use tokio::time::Instant;

/// Payload in bytes. With ICMP's header it makes the 64 bytes of `ping`, which firewalls are usually tested
/// with.
const SIZE: u16 = 56;
const _: () = assert!(MIN_ECHO_SIZE <= SIZE && SIZE <= MAX_ECHO_SIZE);
/// The part of a probe's time reserved for the way to the agent and back, and its maximum. The agent's
/// timeout must be reported before the probe's own, or a dead backend would never be recognized as such. A
/// flooded agent may be 100 ms late.
const MARGIN: (f64, Duration) = (0.1, Duration::from_millis(200));

/// The echo request was not sent, or its outcome is unknown. Says nothing about the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoFailure {
    /// The agent is not connected, or the connection broke.
    #[error("the agent is disconnected: {0}")]
    Away(String),
    /// The agent has not answered.
    #[error("the agent did not answer in time")]
    Silent,
    /// This process or the agent has too many requests in flight. A later one may succeed.
    #[error("{0}")]
    TooMany(String),
    /// The agent's policy does not allow the target.
    #[error("{0}: add one to that list and restart the agent")]
    NotAllowed(String),
    /// The agent cannot send it.
    #[error("{0}")]
    Refused(String),
}

/// A sender of echo requests.
pub trait Echo: Debug + Send + Sync + 'static {
    /// Sends a request, and waits for its outcome until the deadline.
    fn echo(
        &self,
        request: EchoRequest,
        deadline: Instant,
    ) -> impl Future<Output = Result<EchoOutcome, EchoFailure>> + Send;
}

/// Pings the target, from `source` and with packets of `size` bytes if given. A reply includes its round-trip time.
pub(super) async fn echo(
    echoes: &impl Echo,
    target: IpAddr,
    source: Option<IpAddr>,
    size: Option<u16>,
    deadline: Instant,
) -> (ProbeCode, CompactString, Option<Duration>) {
    let timeout = wait(deadline.saturating_duration_since(Instant::now()));
    let request =
        EchoRequest { target, source, timeout, size: size.map_or(SIZE, |size| payload(size, target)) };
    match echoes.echo(request, deadline).await {
        Ok(EchoOutcome::Reply { round_trip }) => {
            let detail = format_compact!("echo reply after {:.2} ms", round_trip.as_secs_f64() * 1e3);
            (ProbeCode::L4Ok, detail, Some(round_trip))
        }
        Ok(EchoOutcome::TimedOut) => {
            (ProbeCode::L4Tout, CompactString::const_new("no echo reply in time"), None)
        }
        Ok(EchoOutcome::Unreachable { from, meaning, .. }) => {
            (ProbeCode::L4Con, format_compact!("{meaning}, says {from}"), None)
        }
        Ok(EchoOutcome::NoRoute { reason }) => (ProbeCode::L4Con, reason.into(), None),
        Ok(EchoOutcome::NotSent { reason }) => {
            (ProbeCode::SockErr, format_compact!("not probed: {reason}"), None)
        }
        Err(failure) => (ProbeCode::SockErr, format_compact!("not probed: {failure}"), None),
    }
}

/// Payload of a packet of this size with the headers of IP and ICMP.
fn payload(size: u16, target: IpAddr) -> u16 {
    let headers = if target.is_ipv4() { 28 } else { 48 };
    size.saturating_sub(headers).clamp(MIN_ECHO_SIZE, MAX_ECHO_SIZE)
}

/// The agent's timeout for a probe with this much time left.
fn wait(left: Duration) -> Duration {
    let (part, longest) = MARGIN;
    left.saturating_sub(left.mul_f64(part).min(longest)).min(MAX_ECHO_TIMEOUT)
}

#[cfg(test)]
mod tests;
