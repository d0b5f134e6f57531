//! Seats for the clients of a listener, which are bounded in number and fair: once all are taken, a newcomer gets the
//! seat of the oldest client that has asked for nothing yet, or else of the oldest. An honest client asks at once, so
//! that whoever wants to keep it out would have to connect faster than it is answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All seats of a listener.
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

/// The seat of one client, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    client: Arc<Client>,
}

impl Seats {
    /// So many seats.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A seat for one more client.
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
    /// The client has asked for something.
    pub(crate) fn has_asked(&self) {
        self.client.has_asked.store(true, Ordering::Relaxed);
    }

    /// Ready once a newcomer has this seat.
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
