//! Webhooks: what happens, delivered to operators' HTTP receivers.
//!
//! The controller adds records to bounded queues, without waiting. One task for each webhook delivers them in order. It ends
//! when the webhook is removed or the process ends, and may be aborted at any point: the event in flight stays in the queue,
//! and may arrive twice. Queues are in memory: a restart loses what is not delivered, and the history has it.

mod client;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use maglev_daemon::vital::vital;
use maglev_engine::config::Webhook;
use maglev_engine::history::Record;
use maglev_engine::tally::Count;
use maglev_engine::webhooks::{Next, Outcome, Queue, Sender, next, signature};
use nix::unistd::gethostname;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

pub(crate) use client::secret;
use client::{Client, Request};

/// The webhooks of the process. Clones share them.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    sender: Sender,
    hooks: Mutex<BTreeMap<String, Hook>>,
}

#[derive(Debug)]
struct Hook {
    settings: Arc<Webhook>,
    line: Arc<Line>,
    _task: AbortOnDropHandle<()>,
}

/// A webhook's events and counters, which outlive a change of its settings.
#[derive(Debug, Default)]
struct Line {
    queue: Mutex<Queue>,
    news: Notify,
    counts: [Count; Ended::ALL.len()],
    failing: Mutex<Option<Failing>>,
}

/// Result of an attempt, as a label of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Delivered,
    Retried,
    Refused,
    GivenUp,
}

impl Ended {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Delivered, "delivered"),
        (Self::Retried, "retried"),
        (Self::Refused, "refused"),
        (Self::GivenUp, "given_up"),
    ];
}

/// Since when nothing is delivered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Time of the first failed attempt since the last delivery.
    pub since: SystemTime,
    /// Reason of the latest one.
    pub reason: String,
}

/// State of one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its name.
    pub name: String,
    /// Events that wait.
    pub waiting: usize,
    /// Events dropped because too many waited.
    pub dropped: u64,
    /// Attempts by how they ended.
    pub attempts: [(&'static str, u64); 4],
    /// Set if the latest attempt failed.
    pub failing: Option<Failing>,
}

impl Webhooks {
    /// None yet. Tasks run on this runtime.
    pub(crate) fn new(runtime: Handle) -> Self {
        let host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sender = Sender { host, run: fastrand::u64(..) };
        Self(Arc::new(Shared { runtime, sender, hooks: Mutex::default() }))
    }

    /// Brings them to a configuration. What waits for one that stays is kept, even if its settings change.
    pub(crate) fn apply(&self, configured: &BTreeMap<String, Arc<Webhook>>) {
        let mut hooks = self.hooks();
        let mut before = std::mem::take(&mut *hooks);
        for (name, settings) in configured {
            let hook = match before.remove(name) {
                Some(hook) if hook.settings == *settings => hook,
                other => self.start(name, settings, other.map(|hook| hook.line).unwrap_or_default()),
            };
            hooks.insert(name.clone(), hook);
        }
    }

    fn start(&self, name: &str, settings: &Arc<Webhook>, line: Arc<Line>) -> Hook {
        let delivery = Delivery {
            name: name.to_owned(),
            sender: self.0.sender.clone(),
            client: Client::new(settings),
            line: Arc::clone(&line),
        };
        let task = self.0.runtime.spawn(vital("a webhook", delivery.run()));
        Hook { settings: Arc::clone(settings), line, _task: AbortOnDropHandle::new(task) }
    }

    /// Queues a record, which has its number, for the webhooks that want it.
    pub(crate) fn record(&self, record: &Arc<Record>) {
        for hook in self.hooks().values().filter(|hook| hook.settings.events.contains(&record.kind)) {
            hook.line.queue().push(Arc::clone(record));
            hook.line.news.notify_one();
        }
    }

    /// The state of each, in the order of their names.
    pub fn readings(&self) -> Vec<Reading> {
        self.hooks().iter().map(|(name, hook)| hook.line.reading(name)).collect()
    }

    fn hooks(&self) -> MutexGuard<'_, BTreeMap<String, Hook>> {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self, name: &str) -> Reading {
        let (waiting, dropped) = {
            let queue = self.queue();
            (queue.len(), queue.dropped())
        };
        let attempts = Ended::ALL.map(|(ended, word)| (word, self.count(ended).map_or(0, Count::get)));
        Reading { name: name.to_owned(), waiting, dropped, attempts, failing: self.failing().clone() }
    }

    fn count(&self, ended: Ended) -> Option<&Count> {
        self.counts.get(ended as usize)
    }
}

/// The task of one webhook.
struct Delivery {
    name: String,
    sender: Sender,
    client: Client,
    line: Arc<Line>,
}

impl Delivery {
    async fn run(self) {
        loop {
            let waiting = self.line.queue().begin();
            let Some(event) = waiting else {
                self.line.news.notified().await;
                continue;
            };
            let body = self.sender.body(&event);
            let mut attempt = 1;
            let delivered = loop {
                let answer = self.attempt(&body).await;
                let outcome = answer.as_ref().map_or(Outcome::NoAnswer, |status| Outcome::Answered(*status));
                let then = next(attempt, outcome, Instant::now().into_std(), fastrand::f64());
                self.note(then, attempt, answer);
                match then {
                    Next::Delivered => break true,
                    Next::Refused | Next::GivenUp => break false,
                    Next::Retry(at) => sleep_until(at.into()).await,
                }
                attempt += 1;
            };
            self.line.queue().end(delivered);
        }
    }

    /// The status of the answer, or why there is none.
    async fn attempt(&self, body: &str) -> Result<u16, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let sign = |secret: &[u8]| Request {
            timestamp: now,
            signature: signature(secret, now, body),
            body: body.to_owned(),
        };
        self.client.post(sign).await
    }

    /// Counts an attempt. Logs the first failure, lost events and the end of failures.
    fn note(&self, then: Next, attempt: u32, answer: Result<u16, String>) {
        let ended = match then {
            Next::Delivered => Ended::Delivered,
            Next::Retry(_) => Ended::Retried,
            Next::Refused => Ended::Refused,
            Next::GivenUp => Ended::GivenUp,
        };
        if let Some(count) = self.line.count(ended) {
            count.add(1);
        }
        let (webhook, mut failing) = (&self.name, self.line.failing());
        if ended == Ended::Delivered {
            if failing.take().is_some() {
                info!(webhook, "the webhook delivers again");
            }
            return;
        }
        let error = answer.map_or_else(|error| error, |status| format!("the receiver answered {status}"));
        match ended {
            Ended::Retried if failing.is_none() => {
                warn!(webhook, %error, "an event could not be delivered; retrying");
            }
            Ended::Refused => warn!(webhook, %error, "an event is lost: the receiver refuses it"),
            Ended::GivenUp => warn!(webhook, %error, attempt, "an event is lost: too many attempts failed"),
            Ended::Retried | Ended::Delivered => {}
        }
        let since = failing.take().map_or_else(SystemTime::now, |failing| failing.since);
        *failing = Some(Failing { since, reason: error });
    }
}

#[cfg(test)]
mod tests;
