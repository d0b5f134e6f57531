//! VPP's figures, shared by those who scrape at the same time.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::Counters;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::agent::AgentReader;

/// A scrape waits so long for the agent, and goes without VPP's figures after that.
const WAIT: Duration = Duration::from_secs(1);
/// Figures are good for so long: the agent's own are up to a second old.
const SHARED: Duration = Duration::from_secs(1);

/// What the agent told last, and when it was asked.
type Newest = Option<(Instant, Option<Arc<Counters>>)>;

/// Asks the agent at most once a second, however many scrape.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    reader: AgentReader,
    newest: Arc<Mutex<Newest>>,
}

impl Figures {
    pub(super) fn new(reader: AgentReader) -> Self {
        Self { reader, newest: Arc::default() }
    }

    /// What VPP counts, if the agent can tell.
    pub(super) async fn newest(&self) -> Option<Arc<Counters>> {
        // Who comes while the agent is being asked waits for that answer.
        let mut newest = self.newest.lock().await;
        if let Some((_, counters)) = newest.as_ref().filter(|(at, _)| at.elapsed() < SHARED) {
            return counters.clone();
        }
        let counters = match timeout(WAIT, self.reader.counters()).await {
            Ok(Ok(counters)) => Some(Arc::new(counters)),
            Ok(Err(error)) => {
                debug!(%error, "a scrape goes without VPP's figures");
                None
            }
            Err(_) => {
                debug!(wait = ?WAIT, "a scrape goes without VPP's figures: the agent has not answered");
                None
            }
        };
        *newest = Some((Instant::now(), counters.clone()));
        counters
    }
}
