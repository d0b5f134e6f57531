//! The ICMP echo of a probe. It takes a privilege that no probe has, so somebody else sends it: for maglev-brain, the
//! agent. Whatever keeps that one from sending says nothing of the backend, and ends in [`ProbeCode::SockErr`]: an agent
//! that restarts takes no site down.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use maglev_engine::outcome::ProbeCode;
use maglev_protocol::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};
use tokio::time::Instant;

/// Payload in bytes. With ICMP's header it makes the 64 bytes that `ping` sends: what firewalls are tried with.
const SIZE: u16 = 56;
const _: () = assert!(MIN_ECHO_SIZE <= SIZE && SIZE <= MAX_ECHO_SIZE);
/// The part of a probe's time that is kept for the way to the agent and back, and the longest that this may be: when
/// the agent's own wait ends, its word of it must still arrive in time, or a dead backend would never be known as such.
/// The agent itself may be 100 ms late when it is flooded.
const MARGIN: (f64, Duration) = (0.1, Duration::from_millis(200));

/// Why the agent sent no echo request, or what became of one is not known. Says nothing of the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoFailure {
    /// There is no connection to the agent, or it broke.
    #[error("the agent is away: {0}")]
    Away(String),
    /// The agent has the request, and says nothing.
    #[error("the agent did not answer in time")]
    Silent,
    /// More than this process or the agent takes. The next one may go through.
    #[error("{0}")]
    TooMany(String),
    /// The agent's policy does not have the target.
    #[error("{0}: add one to that list and restart the agent")]
    NotAllowed(String),
    /// The agent cannot send it.
    #[error("{0}")]
    Refused(String),
}

/// Whoever may send echo requests.
pub trait Echo: Debug + Send + Sync + 'static {
    /// Sends a request, and waits for what comes of it until the deadline.
    fn echo(
        &self,
        request: EchoRequest,
        deadline: Instant,
    ) -> impl Future<Output = Result<EchoOutcome, EchoFailure>> + Send;
}

/// Asks the target for an echo, from `source` if given. A reply comes with its round trip.
pub(super) async fn echo(
    echoes: &impl Echo,
    target: IpAddr,
    source: Option<IpAddr>,
    deadline: Instant,
) -> (ProbeCode, String, Option<Duration>) {
    let timeout = wait(deadline.saturating_duration_since(Instant::now()));
    let request = EchoRequest { target, source, timeout, size: SIZE };
    match echoes.echo(request, deadline).await {
        Ok(EchoOutcome::Reply { round_trip }) => {
            let detail = format!("echo reply after {:.2} ms", round_trip.as_secs_f64() * 1e3);
            (ProbeCode::L4Ok, detail, Some(round_trip))
        }
        Ok(EchoOutcome::TimedOut) => (ProbeCode::L4Tout, "no echo reply in time".to_owned(), None),
        Ok(EchoOutcome::Unreachable { from, meaning, .. }) => {
            (ProbeCode::L4Con, format!("{meaning}, says {from}"), None)
        }
        Ok(EchoOutcome::NoRoute { reason }) => (ProbeCode::L4Con, reason, None),
        Ok(EchoOutcome::NotSent { reason }) => (ProbeCode::SockErr, format!("not probed: {reason}"), None),
        Err(failure) => (ProbeCode::SockErr, format!("not probed: {failure}"), None),
    }
}

/// How long the agent shall wait for a reply when the probe has so much time left.
fn wait(left: Duration) -> Duration {
    let (part, longest) = MARGIN;
    left.saturating_sub(left.mul_f64(part).min(longest)).min(MAX_ECHO_TIMEOUT)
}

#[cfg(test)]
mod tests;
