//! The queue of echo requests on their way to the agent, which alone may send them.
//!
//! A probe leaves an [`EchoAsk`] in it and waits for the answer.

use maglev_probe::{Echo, EchoFailure};
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Requests that wait to be taken to the agent; further ones are refused at once, and their backends keep their
/// state. They wait only while there is no connection yet or this process lags: it is as many as the agent has in
/// flight, 8,192 of each address family.
pub const ECHOES: usize = 16_384;

/// One echo request, and where its answer goes. Dropping it tells that the connection to the agent broke.
#[derive(Debug)]
pub struct EchoAsk {
    /// What the agent shall send.
    pub request: EchoRequest,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
    /// Who waits.
    pub answer: oneshot::Sender<Result<EchoOutcome, EchoFailure>>,
}

/// Takes echo requests to whoever has the queue's other end. Clones share it.
#[derive(Debug, Clone)]
pub struct EchoSender(mpsc::Sender<EchoAsk>);

/// The two ends of a queue of [`ECHOES`].
pub fn echo_queue() -> (EchoSender, mpsc::Receiver<EchoAsk>) {
    let (sender, asks) = mpsc::channel(ECHOES);
    (EchoSender(sender), asks)
}

impl Echo for EchoSender {
    async fn echo(&self, request: EchoRequest, deadline: Instant) -> Result<EchoOutcome, EchoFailure> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(EchoAsk { request, deadline, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                EchoFailure::TooMany(format!("too many echo requests wait: at most {ECHOES} may"))
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
