//! The way of operators' commands to the controller, and of changes of state to whoever listens.

use std::sync::Arc;
use std::time::Duration;

use maglev_engine::core::{Command, CommandError, Core, Done, Ended, InVpp, Numbered};
use maglev_engine::desired::Demand;
use maglev_engine::tally::BrainTally;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::keeper::Kept;

/// Time that an operator waits for VPP. A sync of one VIP takes less than a millisecond, one that finds a full sync
/// of 20,000 servers under way two seconds.
const VPP_ANSWERS: Duration = Duration::from_secs(10);
/// Time that an operator waits for a full sync, which may find another one under way.
const FULL_SYNC: Duration = Duration::from_secs(30);

/// Brings operators' commands to the controller, and changes of state to whoever listens.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) events: broadcast::Sender<Numbered>,
    pub(super) kept: watch::Receiver<Kept>,
    pub(super) tally: Arc<BrainTally>,
}

/// On what terms a command is to be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The number of the state that it was decided on, if it depends on that; see [`Core::events`].
    pub state: Option<u64>,
    /// Whether the answer does not wait for VPP.
    pub no_wait: bool,
    /// Who asks, for those who watch.
    pub who: Option<Arc<str>>,
}

/// What is asked of the controller.
#[derive(Debug)]
pub(super) enum Order {
    /// A command, and the state that it was decided on, if it depends on that.
    Command { command: Command, terms: Terms, answer: oneshot::Sender<Result<Accepted, CommandError>> },
    /// A copy of the state, to try something on.
    State(oneshot::Sender<Box<Core>>),
}

/// A command that the controller has carried out.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) done: Done,
    /// For each demand on VPP, its place in what was asked, and what tells its end.
    pub(super) ended: Vec<(usize, oneshot::Receiver<Ended>)>,
    /// The version of the overrides that is to be kept, if they changed.
    pub(super) version: Option<u64>,
}

impl Operator {
    /// Has a command carried out. When this returns, what it changed is in the snapshot and in the state directory,
    /// and in VPP as far as the answer says.
    ///
    /// # Errors
    /// If it cannot be carried out, or the state is not the one of its terms; then nothing has changed.
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
                Err(_) => Some("the brain is ending".to_owned()),
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

    /// Why what operators have set last would be forgotten by a restart, if it would.
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

    /// Returns when the controller has ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// What is counted of the brain as a whole.
    pub fn tally(&self) -> &BrainTally {
        &self.tally
    }

    /// Changes of state from now on. One who does not fetch them loses the oldest, and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Numbered> {
        self.events.subscribe()
    }
}

/// Operators who wait for VPP. There are no more of them than have sent a command within [`FULL_SYNC`].
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    demand: Demand,
    end: oneshot::Sender<Ended>,
}

impl Waiting {
    /// Somebody waits for the end of a demand.
    pub(super) fn add(&mut self, demand: Demand) -> oneshot::Receiver<Ended> {
        self.0.retain(|waiter| !waiter.end.is_closed());
        let (end, receiver) = oneshot::channel();
        self.0.push(Waiter { demand, end });
        receiver
    }

    /// Tells all who waited for this demand, or for one that it includes.
    pub(super) fn tell(&mut self, ended: &Ended) {
        for waiter in self.0.extract_if(.., |waiter| ended.demand.includes(&waiter.demand)) {
            // An error means that the one who waited has gone.
            drop(waiter.end.send(ended.clone()));
        }
    }
}
