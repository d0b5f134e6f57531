//! Bounded and fair places for a listener's clients: once all are taken, a newcomer replaces the oldest
//! client that has sent no request yet, or else the oldest. An honest client sends its request at once, so an
//! attacker would have to connect faster than requests are answered to keep it out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All places of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    most: usize,
    /// The oldest first.
    taken: Arc<Mutex<VecDeque<Arc<Client>>>>,
}

#[derive(Debug, Default)]
struct Client {
    has_asked: AtomicBool,
    gives_way: CancellationToken,
}

/// The place of one client, released when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    client: Arc<Client>,
}

impl Seats {
    /// Creates so many places.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Takes a place for a new client.
    pub(crate) fn take(&self) -> Seat {
        let client = Arc::new(Client::default());
        let mut taken = self.taken();
        if taken.len() >= self.most {
            let silent = taken.iter().position(|client| !client.has_asked.load(Ordering::Relaxed));
            if let Some(displaced) = taken.remove(silent.unwrap_or(0)) {
                displaced.gives_way.cancel();
            }
        }
        taken.push_back(Arc::clone(&client));
        Seat { seats: self.clone(), client }
    }

    fn taken(&self) -> MutexGuard<'_, VecDeque<Arc<Client>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Records that the client has sent a request.
    pub(crate) fn has_asked(&self) {
        self.client.has_asked.store(true, Ordering::Relaxed);
    }

    /// Ready once a newcomer has taken this place.
    pub(crate) async fn displaced(&self) {
        self.client.gives_way.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().retain(|client| !Arc::ptr_eq(client, &self.client));
    }
}

#[cfg(test)]
mod tests;
