//! The writer's connection to the agent, for calls beside the syncs.

use maglev_engine::agent::CallError;
use maglev_protocol::{AgentClient, HostRoutes, RoutesSpec};
use tokio::sync::watch;

use super::calls::{CALL, flatten, within};

/// Follows the connection that syncs are made over: only its calls may write.
#[derive(Debug, Clone)]
pub struct AgentLink(watch::Receiver<Option<AgentClient>>);

/// One connection. It must be dropped once it is [gone](Self::gone), as it keeps the socket open.
#[derive(Debug)]
pub(crate) struct LinkedAgent {
    client: AgentClient,
    link: watch::Receiver<Option<AgentClient>>,
}

impl AgentLink {
    pub(super) fn new() -> (watch::Sender<Option<AgentClient>>, Self) {
        let (sender, link) = watch::channel(None);
        (sender, Self(link))
    }

    /// The current connection.
    pub(crate) fn current(&self) -> Result<LinkedAgent, CallError> {
        let mut link = self.0.clone();
        let client = link.borrow_and_update().clone();
        let client = client.ok_or_else(|| CallError::Away("the agent is not connected".to_owned()))?;
        Ok(LinkedAgent { client, link })
    }
}

impl LinkedAgent {
    /// Brings the kernel's routes to the desired ones.
    pub(crate) async fn host_routes(&self, wanted: RoutesSpec) -> Result<HostRoutes, CallError> {
        flatten(self.client.host_routes(within(CALL), wanted).await)
    }

    /// Returns when the connection has ended.
    pub(crate) async fn gone(&mut self) -> CallError {
        // Fails only if the client's task has ended.
        drop(self.link.changed().await);
        CallError::Away("the agent disconnected".to_owned())
    }
}
