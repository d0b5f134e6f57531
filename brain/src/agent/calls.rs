//! Calls to the agent, each with its time limit, and their errors.

use std::time::Duration;

use maglev_engine::agent::CallError;
use maglev_protocol::{AgentError, LEASE, MAX_DEADLINE, printable_again};
use tarpc::client::RpcError;
use tarpc::context::Context;

use super::received::{MOST, Received};

/// Time for a call that touches one VIP or none.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// Time for a call that reads all of VPP: 20,000 servers are read in 0.2 s and made in 1.5 s (measured on
/// VPP 26.10).
pub(super) const FULL: Duration = Duration::from_secs(30);
/// How long the agent may keep a wait for a change of VPP before it answers that there was none.
pub(super) const WAIT: Duration = Duration::from_secs(60);
const _: () = assert!(WAIT.as_secs() < MAX_DEADLINE.as_secs());
/// How long it may keep a wait for VPP's silence. Asking again renews the right to write.
pub(super) const WAIT_LIVENESS: Duration = Duration::from_secs(3);
const _: () = assert!(3 * WAIT_LIVENESS.as_secs() < LEASE.as_secs());

/// A context whose call ends after this time.
pub(super) fn within(limit: Duration) -> Context {
    let mut context = tarpc::context::current();
    context.deadline = now() + limit;
    context
}

#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    // tarpc's deadlines are instants of the real clock.
    std::time::Instant::now()
}

/// The agent's answer, cleaned, and one error out of the transport's and the agent's.
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
