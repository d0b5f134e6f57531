//! What the demo and the scenario tests share: real processes in a temporary directory, a client that asks
//! the VIP, and a guard that leaves nothing behind.

pub mod binaries;
pub mod guard;
pub mod maglevc;
pub mod stack;
pub mod traffic;
pub mod wait;
