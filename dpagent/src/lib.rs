//! The privileged half of the control plane: brings VPP's lb plugin to the desired state that the brain
//! sends.
//!
//! Path of a call: [`server`] checks and queues it, [`vpp`] owns the connection and takes one call at a time,
//! [`execute`] executes it, [`sync`] finds the difference between the desired state and its [`mirror`] of VPP
//! with [`reconcile`], and [`apply`] sends it over [`lb`]. Only [`dialect`] knows VPP's messages. It, `step`,
//! `mirror`, `read`, `cli_text`, `conf`, `heap`, `set_aside`, `policy` except for its file, `reconcile` and `writer`
//! are pure.
//!
//! Beside that path: [`policy`] limits what may be asked for, [`counters`] reads VPP's counters, [`icmp`]
//! sends echo requests, [`routes`] has VIPs' host routes in the kernel, and [`privileges`] drops all privileges not needed, before any peer is served.
//!
//! Nothing here writes to VPP on its own: starting, stopping or losing a peer changes nothing.

pub mod apply;
pub mod burst;
pub mod cli_text;
pub mod conf;
pub mod counters;
pub mod dialect;
pub mod execute;
pub mod heap;
pub mod icmp;
pub mod last_answer;
pub mod lb;
pub mod liveness;
pub mod mirror;
mod pace;
pub mod policy;
pub mod privileges;
mod raw;
pub mod read;
pub mod reconcile;
pub mod routes;
pub mod server;
pub mod service;
pub mod set_aside;
pub mod step;
pub mod sync;
pub mod tunnel;
pub mod vpp;
pub mod writer;
