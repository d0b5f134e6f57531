//! Waiting for other processes.

use std::future::Future;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often other processes are checked.
const PERIOD: Duration = Duration::from_millis(25);
/// Maximum wait. A loaded machine is slow, but something that never happens is an error.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats `look` until it finds something; otherwise fails with `what` and the last error.
pub async fn until<T, F>(what: &str, look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    until_every(PERIOD, what, look).await
}

/// The same for what takes long to look at.
pub async fn until_every<T, F>(period: Duration, what: &str, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let end = Instant::now() + PATIENCE;
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let error = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= end {
            match error {
                Some(error) => return Err(error.context(format!("waited {PATIENCE:?} for {what}"))),
                None => bail!("waited {PATIENCE:?} for {what}, in vain"),
            }
        }
    }
}
