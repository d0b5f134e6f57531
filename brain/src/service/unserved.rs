//! Addresses that the system refuses to listen on for now. They are retried, and everything else goes on:
//! backends are checked even if operators and Prometheus cannot connect.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use maglev_daemon::retry::backoff;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

/// Unserved addresses, each with the reason.
pub type Reasons = BTreeMap<String, String>;

/// The list of them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unserved(Arc<watch::Sender<Reasons>>);

impl Unserved {
    /// The list, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Reasons> {
        self.0.subscribe()
    }

    /// The current list.
    pub fn reasons(&self) -> Reasons {
        self.0.borrow().clone()
    }

    /// Opens an address, retrying until it succeeds. Logs the first failure.
    pub async fn until_open<T, E, F>(&self, address: &str, open: impl Fn() -> F) -> T
    where
        E: Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut failures = 0;
        loop {
            match open().await {
                Ok(opened) => {
                    if failures > 0 {
                        info!(address, "listening now");
                        self.0.send_if_modified(|unserved| unserved.remove(address).is_some());
                    }
                    return opened;
                }
                Err(error) if failures == 0 => {
                    error!("{error}; retrying, everything else goes on");
                    self.0.send_modify(|unserved| _ = unserved.insert(address.to_owned(), error.to_string()));
                }
                Err(_) => {}
            }
            failures += 1;
            sleep(backoff(failures)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn address_is_on_the_list_until_it_is_open() {
        let (unserved, tries) = (Unserved::default(), AtomicU32::new(0));
        let list = unserved.watch();
        let open = || {
            let tried = tries.fetch_add(1, Ordering::Relaxed);
            assert_eq!(list.borrow().len(), usize::from(tried > 0));
            assert!(list.borrow().values().all(|reason| reason == "in use"));
            std::future::ready(if tried < 9 { Err("in use") } else { Ok(tried) })
        };
        assert_eq!(unserved.until_open("127.0.0.1:1", open).await, 9);
        assert!(list.borrow().is_empty());
    }
}
