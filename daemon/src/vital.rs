//! Tasks that live as long as the process. A panic in one ends the process, with the task's name in the log:
//! a silently missing function is worse than a restart.

use std::future::Future;
use std::sync::LazyLock;

use tokio::sync::watch;
use tracing::error;

/// Name of the first task that died. Static, since it concerns the whole process.
static DEAD: LazyLock<watch::Sender<Option<&'static str>>> = LazyLock::new(|| watch::channel(None).0);

/// Ends the process if the task that owns it panics; see [`sentinel`].
#[derive(Debug)]
pub struct Sentinel(&'static str);

/// What [`vital`] does, for a task that keeps this value itself: wrapped, a task takes twice the memory.
pub fn sentinel(name: &'static str) -> Sentinel {
    Sentinel(name)
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(task = self.0, "a vital task panicked; exiting");
            DEAD.send_if_modified(|dead| dead.is_none() && dead.replace(self.0).is_none());
        }
    }
}

/// Wraps a task. If it panics, [`died`] returns its name, wherever it was spawned.
pub async fn vital<F: Future>(name: &'static str, task: F) -> F::Output {
    let _sentinel = sentinel(name);
    task.await
}

/// Waits until a task dies; returns its name. The process must then end.
pub async fn died() -> &'static str {
    let mut dead = DEAD.subscribe();
    match dead.wait_for(Option::is_some).await.map(|dead| *dead) {
        Ok(Some(name)) => name,
        // The sender lives as long as the process.
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_task_that_panics_is_named_and_others_are_not() {
        tokio::spawn(vital("one that ends", async {})).await.unwrap();
        let aborted = tokio::spawn(vital("one that is aborted", std::future::pending::<()>()));
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        let dies = async {
            tokio::task::yield_now().await;
            panic!("as a test")
        };
        assert!(tokio::spawn(vital("the one that dies", dies)).await.unwrap_err().is_panic());
        assert_eq!(died().await, "the one that dies");
    }
}
