//! maglev-brain: the process around the engine, which decides where new flows of each VIP may go.
//!
//! - `prober`: the task that probes one backend
//! - `state`: the directory that persists overrides
//! - `agent`: the agent's client
//! - `seats`, `paced`: fairness among the clients of a listener, and in the log lines that they cause
//! - `tcp`: listening TCP sockets
//! - [`figures`]: VPP's counters and state, shared by concurrent callers
//! - `router`: the client of BIRD, which announces the VIPs
//! - [`controller`]: the task that owns the engine's core
//! - [`logs`]: the process's log
//! - [`metrics`]: the Prometheus exporter
//! - [`grpc`]: the operators' gRPC server
//! - [`reload`]: reloads of the configuration file
//! - [`fleet`]: several load balancers with one configuration, through etcd
//! - [`webhooks`]: deliveries of what happens
//! - [`netns`], [`open_files`], [`service`]: network namespace, limit on open files, systemd

pub mod prober;

pub mod state;

pub mod activity;
pub mod agent;

mod coalesced;

mod paced;

mod seats;

mod tcp;

pub mod figures;

mod router;

pub mod controller;

pub mod logs;

pub mod metrics;

pub mod grpc;

pub mod reload;

pub mod fleet;

pub mod webhooks;

pub mod netns;

pub mod open_files;

pub mod service;
