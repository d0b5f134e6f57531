//! Limits on the memory of calls and their answers.
//!
//! The memory of an answer is released once it is in the socket, or when the connection ends. The writing
//! brain has its own share, so that unread answers of others take nothing from it.

use std::sync::{Arc, Mutex, PoisonError};

use maglev_protocol::codec::encoded_size;
use maglev_protocol::{Agent, AgentError, AgentRequest, AgentResponse, MAX_FRAME};
use serde::{Serialize, Serializer};
use tarpc::ServerError;
use tarpc::context::Context;
use tarpc::server::Serve;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::calls::Connection;

/// Maximum number of calls to VPP, running or queued, of the writing brain. Further ones are refused, and the
/// brain retries.
pub const MOST_VPP_CALLS: usize = 64;
/// The same for all other peers together.
pub const MOST_READERS_CALLS: usize = 32;
/// Maximum size of one connection's unread answers to such calls, in KiB: one of maximum size, or hundreds of
/// usual ones.
pub const MOST_UNREAD: usize = MAX_FRAME >> 10;
/// The same for the writer's connections together, and for all others together.
pub const MOST_UNREAD_TOGETHER: usize = 2 * MOST_UNREAD;
/// Maximum size of the desired state in calls running or queued, in KiB: one of maximum size.
const MOST_WANTED: usize = MAX_FRAME >> 10;
/// Upper bound on a frame's overhead, in bytes.
const FRAME_HEAD: u64 = 64;

/// A number of KiB to share. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    most: usize,
}

impl Room {
    fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// For one connection's unread answers.
    pub(super) fn of_a_connection() -> Self {
        Self::new(MOST_UNREAD)
    }

    /// For the desired state that the writer sends.
    pub(super) fn of_the_writer() -> Self {
        Self::new(MOST_WANTED)
    }

    /// Takes so many KiB, or fails if fewer are left.
    fn take(&self, kib: Option<u32>, what: &str) -> Result<OwnedSemaphorePermit, AgentError> {
        let taken = kib.and_then(|kib| Arc::clone(&self.free).try_acquire_many_owned(kib).ok());
        taken.ok_or_else(|| AgentError::TooMany { what: format!("KiB of {what}"), most: self.most as u64 })
    }

    /// Reserves memory for desired state, until it has been carried out.
    pub(super) fn want<T: Serialize>(&self, wanted: &T) -> Result<OwnedSemaphorePermit, AgentError> {
        self.take(kib(wanted), "VIPs in calls in progress")
    }
}

/// Encoded size of an item in KiB; `None` if it exceeds a frame. In memory it takes two to four times as
/// much.
fn kib<T: Serialize>(item: &T) -> Option<u32> {
    let size = encoded_size(item).filter(|size| *size <= MAX_FRAME as u64 - FRAME_HEAD)?;
    u32::try_from(size.div_ceil(1024)).ok()
}

/// What several connections may use together.
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

/// Memory reserved for an answer.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Vec<OwnedSemaphorePermit>>);

impl Held {
    /// Reserves memory for an answer until it is read.
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

/// An answer with its reserved memory.
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

/// Executes one call, if it is allowed.
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
        // Boxed: tarpc holds this future three times over, for each of thousands of requests.
        let answer = Box::pin(self.0.serve().serve(context, request)).await?;
        Ok(Answer { answer, held })
    }
}

#[cfg(test)]
mod tests;
