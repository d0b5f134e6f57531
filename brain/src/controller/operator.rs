//! Passes operators' commands to the controller, and changes of state to listeners.

use std::sync::Arc;
use std::time::Duration;

use maglev_engine::core::{Command, CommandError, Core, Done, Ended, InVpp, Notice, Numbered};
use maglev_engine::desired::Demand;
use maglev_engine::overrides::Remark;
use maglev_engine::tally::BrainTally;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::keeper::Kept;
use super::recorder::History;

/// How long an operator waits for VPP. A sync of one VIP takes less than a millisecond; behind a full sync of
/// 20,000 servers it takes two seconds.
const VPP_ANSWERS: Duration = Duration::from_secs(10);
/// How long an operator waits for a full sync, which may have to wait for another one.
const FULL_SYNC: Duration = Duration::from_secs(30);

/// Timeout of a sign of life from the controller, which answers within milliseconds.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Passes operators' commands to the controller, and changes of state to listeners.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) events: broadcast::Sender<Numbered>,
    pub(super) kept: watch::Receiver<Kept>,
    pub(super) history: History,
    pub(super) tally: Arc<BrainTally>,
}

/// Conditions of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The number of the state that it was decided on, if it depends on that; see [`Core::events`].
    pub state: Option<u64>,
    /// Whether to answer without waiting for VPP.
    pub no_wait: bool,
    /// The caller, for watchers and the override's file; the reason, and the time until which it is to last.
    pub remark: Remark,
}

/// An order to the controller.
#[derive(Debug)]
pub(super) enum Order {
    /// A command, with its conditions.
    Command { command: Command, terms: Terms, answer: oneshot::Sender<Result<Accepted, CommandError>> },
    /// Requests a sign of life.
    Ping(oneshot::Sender<()>),
    /// Requests a copy of the state, to try something on.
    State(oneshot::Sender<Box<Core>>),
}

/// A command that the controller has executed.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) done: Done,
    /// For each request to VPP, its index in the result, and the notification of its end.
    pub(super) ended: Vec<(usize, oneshot::Receiver<Ended>)>,
    /// The version of the overrides to persist, if they changed.
    pub(super) version: Option<u64>,
}

impl Operator {
    /// Executes a command. On return, its change is in the snapshot and in the state directory, and in VPP as
    /// far as the answer says.
    ///
    /// # Errors
    /// If it cannot be executed, or the state is not the one of its conditions; nothing has changed then.
    pub async fn command(&self, terms: Terms, command: Command) -> Result<Done, CommandError> {
        let (answer, answered) = oneshot::channel();
        let patience = if let Command::Sync { .. } = command { FULL_SYNC } else { VPP_ANSWERS };
        let no_wait = terms.no_wait;
        let order = Order::Command { command, terms, answer };
        self.orders.send(order).await.map_err(|_| CommandError::Ending)?;
        let Accepted { mut done, ended, version } = answered.await.unwrap_or(Err(CommandError::Ending))?;
        let give_up = Instant::now() + patience;
        if let Some(version) = version {
            let mut kept = self.kept.clone();
            done.not_kept = match kept.wait_for(|kept| kept.version >= version).await {
                Ok(kept) => kept.error.clone(),
                Err(_) => Some("maglev-brain is shutting down".to_owned()),
            };
        }
        if no_wait {
            let late = done.asked.iter_mut().filter(|asked| asked.in_vpp == InVpp::Late);
            late.for_each(|asked| asked.in_vpp = InVpp::NotAsked);
            return Ok(done);
        }
        let alone = ended.len() == 1;
        for (index, ended) in ended {
            let ended = timeout_at(give_up, ended).await;
            if let (Ok(Ok(Ended { in_vpp, report, .. })), Some(asked)) = (ended, done.asked.get_mut(index)) {
                asked.in_vpp = in_vpp;
                done.report = report.filter(|_| alone);
            }
        }
        Ok(done)
    }

    /// Has an event, a line of the log, a record of the history and a delivery to webhooks made.
    pub async fn announce(&self, notice: Notice, remark: Remark) {
        let terms = Terms { state: None, no_wait: true, remark };
        // Fails only if the process is shutting down.
        drop(self.command(terms, Command::Announce(notice)).await);
    }

    /// Why the latest overrides would not survive a restart, if that is so.
    pub fn not_kept(&self) -> Option<String> {
        self.kept.borrow().error.clone()
    }

    /// A copy of the state.
    ///
    /// # Errors
    /// If the controller has ended.
    pub async fn state(&self) -> Result<Box<Core>, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::State(answer)).await.map_err(|_| CommandError::Ending)?;
        answered.await.map_err(|_| CommandError::Ending)
    }

    /// The history, including that from before the start.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Asks the controller for a sign of life.
    pub async fn is_alive(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let asked = async { self.orders.send(Order::Ping(answer)).await.is_ok() && answered.await.is_ok() };
        timeout(SIGN_OF_LIFE, asked).await.unwrap_or(false)
    }

    /// Returns when the controller has ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// Counters of the brain as a whole.
    pub fn tally(&self) -> &BrainTally {
        &self.tally
    }

    /// Changes of state from now on. A slow receiver loses the oldest, and learns how many.
    pub fn events(&self) -> broadcast::Receiver<Numbered> {
        self.events.subscribe()
    }
}

/// Operators waiting for VPP: at most as many as sent a command within [`FULL_SYNC`].
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    demand: Demand,
    end: oneshot::Sender<Ended>,
}

impl Waiting {
    /// Registers a waiter for the end of a request.
    pub(super) fn add(&mut self, demand: Demand) -> oneshot::Receiver<Ended> {
        self.0.retain(|waiter| !waiter.end.is_closed());
        let (end, receiver) = oneshot::channel();
        self.0.push(Waiter { demand, end });
        receiver
    }

    /// Notifies all who waited for this request, or for one that it includes.
    pub(super) fn tell(&mut self, ended: &Ended) {
        for waiter in self.0.extract_if(.., |waiter| ended.demand.includes(&waiter.demand)) {
            // Fails only if the waiter has gone.
            drop(waiter.end.send(ended.clone()));
        }
    }
}
