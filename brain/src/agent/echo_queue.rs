//! The queue of echo requests to the agent, the only process that may send them.
//!
//! A probe adds an [`EchoAsk`] and waits for the answer.

use maglev_probe::{Echo, EchoFailure};
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Maximum number of queued requests; further ones are refused at once, and their backends keep their state.
/// They queue only while the agent is not connected yet or this process lags. The same as the agent's maximum
/// in flight: 8,192 for each address family.
pub const ECHOES: usize = 16_384;

/// An echo request, with the channel for its answer. Dropping it means that the connection to the agent
/// broke.
#[derive(Debug)]
pub struct EchoAsk {
    /// The request for the agent.
    pub request: EchoRequest,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The caller.
    pub answer: oneshot::Sender<Result<EchoOutcome, EchoFailure>>,
}

/// The sending end of the queue. Clones share it.
#[derive(Debug, Clone)]
pub struct EchoSender(mpsc::Sender<EchoAsk>);

/// Creates a queue of [`ECHOES`] requests.
pub fn echo_queue() -> (EchoSender, mpsc::Receiver<EchoAsk>) {
    let (sender, asks) = mpsc::channel(ECHOES);
    (EchoSender(sender), asks)
}

impl Echo for EchoSender {
    async fn echo(&self, request: EchoRequest, deadline: Instant) -> Result<EchoOutcome, EchoFailure> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(EchoAsk { request, deadline, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                EchoFailure::TooMany(format!("too many echo requests are queued: at most {ECHOES}"))
            }
            mpsc::error::TrySendError::Closed(_) => EchoFailure::Away("this process ends".to_owned()),
        })?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(EchoFailure::Away("the connection to it broke".to_owned())),
            Err(_) => Err(EchoFailure::Silent),
        }
    }
}

#[cfg(test)]
mod tests;
