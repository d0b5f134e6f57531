//! How much memory calls and their answers may take.
//!
//! What an answer takes up is given back when it is in the socket, or will never be. The brain that writes to VPP has a
//! share of its own, so that what others ask and leave unread takes nothing from it.

use std::sync::{Arc, Mutex, PoisonError};

use maglev_protocol::codec::encoded_size;
use maglev_protocol::{Agent, AgentError, AgentRequest, AgentResponse, MAX_FRAME};
use serde::{Serialize, Serializer};
use tarpc::ServerError;
use tarpc::context::Context;
use tarpc::server::Serve;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::calls::Connection;

/// Calls that ask something of VPP, under way or waiting for their turn, of the brain that writes to it. Further ones are
/// refused, which the brain takes for a passing fault.
pub const MOST_VPP_CALLS: usize = 64;
/// The same, of all others together.
pub const MOST_READERS_CALLS: usize = 32;
/// KiB of answers to such calls that one connection has not read: one of the longest, or hundreds of usual ones.
pub const MOST_UNREAD: usize = MAX_FRAME >> 10;
/// The same, of the writer's connections together, and of all others together.
pub const MOST_UNREAD_TOGETHER: usize = 2 * MOST_UNREAD;
/// KiB of what the writer wants VPP to have, in calls that are under way or wait: one of the longest.
const MOST_WANTED: usize = MAX_FRAME >> 10;
/// Bytes of a frame beside the answer that is in it, at most.
const FRAME_HEAD: u64 = 64;

/// Room for so many KiB. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    most: usize,
}

impl Room {
    fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// For the unread answers of a connection.
    pub(super) fn of_a_connection() -> Self {
        Self::new(MOST_UNREAD)
    }

    /// For what the writer wants VPP to have.
    pub(super) fn of_the_writer() -> Self {
        Self::new(MOST_WANTED)
    }

    /// Takes so many KiB, if there are any.
    fn take(&self, kib: Option<u32>, what: &str) -> Result<OwnedSemaphorePermit, AgentError> {
        let taken = kib.and_then(|kib| Arc::clone(&self.free).try_acquire_many_owned(kib).ok());
        taken.ok_or_else(|| AgentError::TooMany { what: format!("KiB of {what}"), most: self.most as u64 })
    }

    /// Takes room for what the writer wants, until it has been carried out.
    pub(super) fn want<T: Serialize>(&self, wanted: &T) -> Result<OwnedSemaphorePermit, AgentError> {
        self.take(kib(wanted), "VIPs in calls that are under way")
    }
}

/// What an item has when it is encoded; `None` if it is too long for a frame. In memory it is two to four times as long.
fn kib<T: Serialize>(item: &T) -> Option<u32> {
    let size = encoded_size(item).filter(|size| *size <= MAX_FRAME as u64 - FRAME_HEAD)?;
    u32::try_from(size.div_ceil(1024)).ok()
}

/// What connections may take up together.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) calls: Semaphore,
    pub(super) most_calls: usize,
    unread: Room,
}

impl Share {
    pub(super) fn new(most_calls: usize) -> Self {
        Self { calls: Semaphore::new(most_calls), most_calls, unread: Room::new(MOST_UNREAD_TOGETHER) }
    }
}

/// What an answer takes up.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Vec<OwnedSemaphorePermit>>);

impl Held {
    /// Takes room for an answer in which it may wait until it is read.
    pub(super) fn hold<T: Serialize>(&self, answer: T, own: &Room, share: &Share) -> Result<T, AgentError> {
        let kib = kib(&answer);
        let permits = [
            own.take(kib, "unread answers on a connection")?,
            share.unread.take(kib, "unread answers on all connections")?,
        ];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(permits);
        Ok(answer)
    }
}

/// An answer, and the room that it takes up.
#[derive(Debug)]
pub(super) struct Answer {
    answer: AgentResponse,
    pub(super) held: Arc<Held>,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.answer.serialize(serializer)
    }
}

/// Carries one call out, if it is legal.
#[derive(Debug)]
pub(super) struct Call(pub(super) Connection);

impl Serve for Call {
    type Req = AgentRequest;
    type Resp = Answer;

    async fn serve(self, context: Context, request: AgentRequest) -> Result<Answer, ServerError> {
        let held = Arc::clone(&self.0.held);
        if let Some(answer) = self.0.refuses(&request) {
            return Ok(Answer { answer, held });
        }
        // tarpc holds what is below three times over, for each of thousands of requests.
        let answer = Box::pin(self.0.serve().serve(context, request)).await?;
        Ok(Answer { answer, held })
    }
}

#[cfg(test)]
mod tests;
