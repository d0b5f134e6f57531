//! Changes in two steps: what each brain says that it would do, and then the same, on the state that was shown.

mod call;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use maglev_proto::PreviewChangeResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tonic::Code;
use tracing::info;

use crate::access::{Person, token};
use crate::brain::{Brain, in_words};
use crate::metrics::Metrics;

/// How long a plan may be confirmed.
const VALID: Duration = Duration::from_secs(120);
/// Plans that wait to be confirmed. When there is one more, the oldest is dropped: its owner plans again.
const WAITING: usize = 256;

/// What somebody wants to change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Change {
    Pause {
        backend: String,
    },
    Resume {
        backend: String,
    },
    Enable {
        backend: String,
    },
    Disable {
        backend: String,
    },
    Weight {
        frontend: String,
        pool: String,
        backend: String,
        weight: u32,
        flush: bool,
    },
    /// Frontend and pool are empty for the state of the backend.
    Clear {
        backend: String,
        #[serde(default)]
        frontend: String,
        #[serde(default)]
        pool: String,
    },
    Recreate {
        frontend: String,
    },
    /// All frontends if it is empty.
    Sync {
        #[serde(default)]
        frontend: String,
    },
}

/// What is wanted, and of which load balancers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Request {
    pub(crate) change: Change,
    pub(crate) servers: Vec<String>,
}

/// What one of them says that it would do.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    server: Arc<str>,
    /// Absent for a sync, which is not previewed, and if there is an error.
    preview: Option<PreviewChangeResponse>,
    error: Option<String>,
}

/// What will happen if it is confirmed.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    /// With this it is confirmed; absent if none of them would do anything.
    token: Option<String>,
    parts: Vec<Part>,
}

/// What one of them did.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    server: Arc<str>,
    answer: Option<Value>,
    error: Option<String>,
    /// Whether the state had moved on.
    moved: bool,
}

/// What became of a confirmation.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    results: Vec<Done>,
    /// A new plan for those whose state had moved on.
    again: Option<Plan>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("there is no load balancer {0:?}")]
    Unknown(String),
    #[error("no load balancer is named")]
    Nobody,
    #[error("this plan is not valid any more: plan again")]
    Expired,
    #[error("the kernel gives no random numbers")]
    Random,
}

#[derive(Debug)]
struct Waiting {
    login: String,
    change: Change,
    /// The load balancers, each with the state that its preview was computed from.
    states: Vec<(Arc<Brain>, Option<u64>)>,
    at: Instant,
}

/// All load balancers, and the plans that wait to be confirmed.
#[derive(Debug)]
pub(crate) struct Planner {
    /// In the order in which they were named.
    pub(crate) brains: Vec<Arc<Brain>>,
    waiting: Mutex<HashMap<String, Waiting>>,
    metrics: Metrics,
}

impl Planner {
    pub(crate) fn new(brains: Vec<Arc<Brain>>, metrics: Metrics) -> Self {
        Self { brains, waiting: Mutex::default(), metrics }
    }

    pub(crate) async fn plan(
        &self,
        person: &Person,
        request: Request,
        now: Instant,
    ) -> Result<Plan, PlanError> {
        let mut brains: Vec<Arc<Brain>> = Vec::new();
        for name in request.servers {
            let brain =
                self.brains.iter().find(|brain| *brain.name == *name).ok_or(PlanError::Unknown(name))?;
            if !brains.iter().any(|known| known.name == brain.name) {
                brains.push(Arc::clone(brain));
            }
        }
        if brains.is_empty() {
            return Err(PlanError::Nobody);
        }
        self.plan_for(person, request.change, brains, now).await
    }

    async fn plan_for(
        &self,
        person: &Person,
        change: Change,
        brains: Vec<Arc<Brain>>,
        now: Instant,
    ) -> Result<Plan, PlanError> {
        let answers = join_all(brains.iter().map(|brain| call::preview(brain, &change))).await;
        let (mut parts, mut states) = (Vec::new(), Vec::new());
        for (brain, answer) in brains.into_iter().zip(answers) {
            let server = Arc::clone(&brain.name);
            match answer {
                Ok(preview) => {
                    states.push((brain, preview.as_ref().map(|preview| preview.state)));
                    parts.push(Part { server, preview, error: None });
                }
                Err(error) => parts.push(Part { server, preview: None, error: Some(error) }),
            }
        }
        let token = if states.is_empty() { None } else { Some(token().ok_or(PlanError::Random)?) };
        if let Some(token) = &token {
            let waiting = Waiting { login: person.login.clone(), change, states, at: now };
            self.keep(token.clone(), waiting, now);
        }
        Ok(Plan { token, parts })
    }

    fn keep(&self, token: String, plan: Waiting, now: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, plan| now.saturating_duration_since(plan.at) <= VALID);
        if waiting.len() >= WAITING {
            let oldest = waiting.iter().min_by_key(|(_, plan)| plan.at).map(|(token, _)| token.clone());
            oldest.and_then(|oldest| waiting.remove(&oldest));
        }
        waiting.insert(token, plan);
    }

    /// The plan of this token, which holds once, and for whom it was made.
    fn take(&self, person: &Person, token: &str, now: Instant) -> Result<Waiting, PlanError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(token).is_none_or(|plan| plan.login != person.login) {
            return Err(PlanError::Expired);
        }
        let plan = waiting.remove(token).ok_or(PlanError::Expired)?;
        if now.saturating_duration_since(plan.at) > VALID { Err(PlanError::Expired) } else { Ok(plan) }
    }

    /// Has a plan carried out, by each brain only if its state is still the one of the plan.
    pub(crate) async fn confirm(
        &self,
        person: &Person,
        token: &str,
        reason: &str,
        now: Instant,
    ) -> Result<Outcome, PlanError> {
        let Waiting { change, states, .. } = self.take(person, token, now)?;
        let servers: Vec<_> = states.iter().map(|(brain, _)| brain.name.to_string()).collect();
        info!(who = %person.name, change = ?change, servers = %servers.join(","), "change confirmed");
        let asking = call::Asking { person: &person.name, reason };
        let calls = states.iter().map(|(brain, state)| call::carry_out(brain, &change, *state, asking));
        let answers = join_all(calls).await;
        let (mut results, mut moved) = (Vec::new(), Vec::new());
        for ((brain, _), answer) in states.into_iter().zip(answers) {
            self.metrics.changes.inc();
            let server = Arc::clone(&brain.name);
            results.push(match answer {
                Ok(answer) => Done { server, answer: Some(answer), error: None, moved: false },
                Err(status) => {
                    let was_moved = status.code() == Code::Aborted;
                    if was_moved {
                        moved.push(brain);
                    }
                    let error = Some(in_words(&status));
                    Done { server, answer: None, error, moved: was_moved }
                }
            });
        }
        let again = match moved.is_empty() {
            true => None,
            false => Some(self.plan_for(person, change, moved, now).await?),
        };
        Ok(Outcome { results, again })
    }
}

#[cfg(test)]
mod tests;
