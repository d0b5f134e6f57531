//! Calls to the agent, with their timeouts and errors.

use std::time::Duration;

use maglev_engine::agent::CallError;
use maglev_protocol::{AgentError, LEASE, MAX_DEADLINE, printable_again};
use tarpc::client::RpcError;
use tarpc::context::Context;

use super::received::{MOST, Received};

/// Timeout of a call that touches at most one VIP.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// Timeout of a call that reads all of VPP: reading 20,000 servers takes 0.2 s, adding them 1.5 s (measured
/// on VPP 26.10).
pub(super) const FULL: Duration = Duration::from_secs(30);
/// How long the agent may hold a long poll for a change of VPP.
pub(super) const WAIT: Duration = Duration::from_secs(60);
const _: () = assert!(WAIT.as_secs() < MAX_DEADLINE.as_secs());
/// How long the agent may hold a long poll for VPP's silence. Each poll renews the writer's lease.
pub(super) const WAIT_LIVENESS: Duration = Duration::from_secs(3);
const _: () = assert!(3 * WAIT_LIVENESS.as_secs() < LEASE.as_secs());

/// A context whose call times out after this time.
pub(super) fn within(limit: Duration) -> Context {
    let mut context = tarpc::context::current();
    context.deadline = now() + limit;
    context
}

#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    // tarpc's deadlines use the real clock.
    std::time::Instant::now()
}

/// Sanitizes the agent's answer, and merges the transport's errors with the agent's.
pub(super) fn flatten<T: Received>(result: Result<Result<T, AgentError>, RpcError>) -> Result<T, CallError> {
    let answer = result.map_err(transport)?;
    answer.map(Received::cleaned).map_err(|error| CallError::Agent(error.cleaned()))
}

pub(super) fn transport(error: RpcError) -> CallError {
    match error {
        RpcError::DeadlineExceeded => CallError::Timeout,
        // tarpc refuses instead of queueing when too many requests are in flight.
        RpcError::Server(error) if error.kind == std::io::ErrorKind::WouldBlock => CallError::Busy,
        other => {
            let reason = format!("the connection to the agent broke: {other}");
            CallError::Away(printable_again(&reason, MOST))
        }
    }
}
