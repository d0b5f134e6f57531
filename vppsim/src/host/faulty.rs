//! Faults of a running simulator: setting, judging and ending them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info};

use super::Host;
use crate::api::trace::Direction;
use crate::api::{ClientId, Outcome};
use crate::faults::{Action, Fault, FaultNumber, SetFault, TooMany};

/// How a request was treated.
#[derive(Debug)]
pub enum Reception {
    /// Judged and treated accordingly. The answers are due after this delay.
    Done(Outcome, Duration),
    /// VPP hangs: the request must be received again afterwards.
    Hung,
    /// VPP hangs because of this request, which must be handled afterwards.
    Held,
}

/// A fault that was waited for did not occur.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// There is none with this number.
    #[error("no fault {0} is set; list tells those that are")]
    NotSet(FaultNumber),
    /// It befell nothing.
    #[error("fault {number} has befallen no request within {} seconds", waited.as_secs())]
    TimedOut {
        /// The fault.
        number: FaultNumber,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl Host {
    /// Judges a request by the faults that are set, and does with it what they say.
    pub fn receive(self: &Arc<Self>, client: ClientId, body: &[u8]) -> Reception {
        let mut state = self.lock();
        if self.is_hung() {
            return Reception::Hung;
        }
        if state.faults.is_empty() {
            return Reception::Done(state.handle(self, client, body), Duration::ZERO);
        }
        let state = &mut *state;
        let subject = state.simulator.subject(client, body);
        let verdict = state.faults.judge(&subject);
        if !verdict.is_harmless() {
            info!(message = subject.message, client = subject.client, ?verdict, "a fault befalls a request");
            self.hits.send_replace(());
        }
        let nothing = |close| Outcome { close, ..Outcome::default() };
        let unanswered = |mut outcome: Outcome, close| {
            outcome.trace.retain(|entry| entry.dir == Direction::Received);
            Outcome { answers: Vec::new(), close, ..outcome }
        };
        let outcome = match verdict.action {
            None | Some(Action::Delay(_)) => state.handle(self, client, body),
            Some(Action::Lose) => nothing(false),
            Some(Action::Mute) => unanswered(state.handle(self, client, body), false),
            Some(Action::Fail(retval)) => {
                state.simulator.refuse(client, body, retval, state.started.elapsed())
            }
            Some(Action::Close) => nothing(true),
            Some(Action::Cut) => unanswered(state.handle(self, client, body), true),
            Some(Action::Hang) => {
                self.hang();
                return Reception::Held;
            }
            Some(Action::Restart(restart)) => {
                if let Err(error) = state.restart(self, restart) {
                    error!(%error, "VPP was not restarted; its client is sent away all the same");
                }
                nothing(true)
            }
        };
        Reception::Done(outcome, verdict.delay)
    }

    /// Sets a fault.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn set_fault(&self, fault: Fault) -> Result<FaultNumber, TooMany> {
        self.lock().faults.add(fault)
    }

    /// Ends a fault. Tells whether it was set.
    pub fn clear_fault(&self, number: FaultNumber) -> bool {
        self.lock().faults.remove(number)
    }

    /// Ends every fault, and a hang.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
        self.resume();
    }

    /// The faults that are set, spent ones too.
    pub fn faults(&self) -> Vec<SetFault> {
        self.lock().faults.iter().cloned().collect()
    }

    /// From now on nothing is read, answered or published, until [`Host::resume`].
    pub fn hang(&self) {
        self.hung.send_replace(true);
    }

    /// Ends a hang.
    pub fn resume(&self) {
        self.hung.send_replace(false);
    }

    /// Whether VPP hangs.
    pub fn is_hung(&self) -> bool {
        *self.hung.borrow()
    }

    /// Waits until VPP does not hang.
    pub async fn resumed(&self) {
        // This host holds the sender, so it cannot be gone.
        self.hung.subscribe().wait_for(|hung| !hung).await.ok();
    }

    /// Waits until a fault has befallen a request, at most this long.
    ///
    /// # Errors
    /// When it is not set, was cleared meanwhile, or befell none.
    pub async fn fault_hit(&self, number: FaultNumber, longest: Duration) -> Result<(), WaitError> {
        let mut hits = self.hits.subscribe();
        let hit = async {
            loop {
                match self.lock().faults.get(number).map(|fault| fault.hits) {
                    None => return Err(WaitError::NotSet(number)),
                    Some(0) => {}
                    Some(_) => return Ok(()),
                }
                // This host holds the sender, so it cannot be gone.
                hits.changed().await.ok();
            }
        };
        timeout(longest, hit).await.unwrap_or(Err(WaitError::TimedOut { number, waited: longest }))
    }

    /// Does some work like VPP's main thread: paused while VPP hangs.
    pub async fn while_not_hung<T>(&self, work: impl Future<Output = T>) -> T {
        let mut hung = self.hung.subscribe();
        let mut work = pin!(work);
        loop {
            self.resumed().await;
            tokio::select! {
                biased;
                _ = hung.wait_for(|hung| *hung) => {}
                done = &mut work => return done,
            }
        }
    }
}
