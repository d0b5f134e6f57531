//! The way of operators' commands to the controller, and of changes of state to whoever listens.

use std::time::Duration;

use maglev_protocol::VipKey;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::core::{Command, CommandError, Done, Ended, InVpp, Numbered};
use super::keeper::Kept;

/// Time that an operator waits for VPP. A sync of one VIP takes less than a millisecond, one that finds a full sync
/// of 20,000 servers under way two seconds.
const VPP_ANSWERS: Duration = Duration::from_secs(10);

/// Brings operators' commands to the controller, and changes of state to whoever listens.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) events: broadcast::Sender<Numbered>,
    pub(super) kept: watch::Receiver<Kept>,
}

/// A command on its way.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Accepted, CommandError>>,
}

/// A command that the controller has carried out.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) done: Done,
    /// Tells the end of the demand on VPP, if there is one.
    pub(super) ended: Option<oneshot::Receiver<Result<(), String>>>,
    /// The version of the overrides that is to be kept, if they changed.
    pub(super) version: Option<u64>,
}

impl Operator {
    /// Has a command carried out. When this returns, what it changed is in the snapshot and in the state directory,
    /// and in VPP as far as the answer says.
    ///
    /// # Errors
    /// If it cannot be carried out; then nothing has changed.
    pub async fn command(&self, command: Command) -> Result<Done, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { command, answer }).await.map_err(|_| CommandError::Ending)?;
        let Accepted { mut done, ended, version } = answered.await.unwrap_or(Err(CommandError::Ending))?;
        if let Some(version) = version {
            let mut kept = self.kept.clone();
            done.not_kept = match kept.wait_for(|kept| kept.version >= version).await {
                Ok(kept) => kept.error.clone(),
                Err(_) => Some("the brain is ending".to_owned()),
            };
        }
        if let Some(ended) = ended {
            done.in_vpp = match timeout(VPP_ANSWERS, ended).await {
                Ok(Ok(Ok(()))) => InVpp::Acknowledged,
                Ok(Ok(Err(reason))) => InVpp::Refused(reason),
                Ok(Err(_)) | Err(_) => InVpp::Late,
            };
        }
        Ok(done)
    }

    /// Returns when the controller has ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// Changes of state from now on. One who does not fetch them loses the oldest, and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Numbered> {
        self.events.subscribe()
    }
}

/// Operators who wait for VPP. There are no more of them than have sent a command within [`VPP_ANSWERS`].
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    vip: VipKey,
    demand: u64,
    end: oneshot::Sender<Result<(), String>>,
}

impl Waiting {
    /// Somebody waits for the end of a demand.
    pub(super) fn add(&mut self, (vip, demand): (VipKey, u64)) -> oneshot::Receiver<Result<(), String>> {
        self.0.retain(|waiter| !waiter.end.is_closed());
        let (end, receiver) = oneshot::channel();
        self.0.push(Waiter { vip, demand, end });
        receiver
    }

    /// Tells all who waited for this demand, or for one before it on the same VIP.
    pub(super) fn tell(&mut self, ended: &Ended) {
        let is_over = |waiter: &mut Waiter| waiter.vip == ended.vip && waiter.demand <= ended.number;
        for waiter in self.0.extract_if(.., is_over) {
            // An error means that the one who waited has gone.
            drop(waiter.end.send(ended.result.clone()));
        }
    }
}
