//! Tests VIPs from outside, as their clients see them: who answers, how fast, what fails and for how long, and whether
//! flows survive what happens to the load balancer behind the VIP. A library without a screen; `maglevt` adds one.
//!
//! - [`target`]: what is tested, and the request that is made of it
//! - [`pace`]: when requests are made, and how many at most
//! - [`client`]: one request, by the same code as health checks
//! - [`stats`], with [`latency`], [`class`], [`servers`], [`chance`] and [`outage`]: what is counted. All of it is pure
//! - [`flows`]: long-lived flows
//! - [`run`]: the tasks of a running test
//! - [`brain`]: what the brain says that VPP does, to compare with
//! - [`sweep`]: a request through each bucket of a VIP's table
//! - [`snapshot`]: the state of a test at one moment; [`report`], [`limits`] and [`metrics`] are made from it

pub mod brain;
pub mod chance;
pub mod class;
pub mod client;
pub mod flows;
pub mod latency;
pub mod limits;
pub mod metrics;
pub mod outage;
pub mod pace;
pub mod report;
pub mod run;
pub mod servers;
pub mod snapshot;
pub mod stats;
pub mod sweep;
pub mod target;
mod udp;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a panic while counting leaves behind is still counted right enough to show.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
