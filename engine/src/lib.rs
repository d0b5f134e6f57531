//! Every decision of maglev-brain: pure, without tokio and without I/O; the time is an argument.
//!
//! Data flows one way, through a type at every arrow: `Config -> ProbeOutcome -> Health -> EffectiveWeights
//! -> VipSpec`. The modules are in that order, and each uses only those before it:
//!
//! - [`kind`]: kinds of recorded events
//! - [`config`]: the configuration, from YAML to a validated value
//! - [`vpp_faults`]: known faults of VPP, by release
//! - [`outcome`]: the result of a probe
//! - [`tunnel`]: checks through the tunnel, and what their probes say
//! - [`schedule`]: when the next probe starts
//! - [`health`]: the state machine of one backend
//! - [`votes`]: which backends are down for a fleet of load balancers
//! - [`weights`]: failover between pools, and the weight of each backend
//! - [`desired`]: VPP's desired state, as one value
//! - [`warmup`]: when frontends are released after a start
//! - [`routes`]: which VIP addresses the router announces
//! - [`overrides`]: operators' settings at run time, and their file format
//! - [`revisions`]: the applied configurations that are kept, and which one a brain starts with
//! - [`tally`]: Prometheus counters, kept next to the state they describe
//! - [`agent`]: events between brain, agent and VPP
//! - [`syncs`]: the order of calls to the agent
//! - [`snapshot`]: the state at one moment, for readers
//! - [`core`]: the owner of the state: inputs in, effects out
//! - [`fleet`]: several load balancers with one configuration, one set of intents and equal tables
//! - [`preview`]: the effect of a change, before it is made
//! - [`history`]: what happened, in records that survive a restart
//! - [`webhooks`]: the queue of a webhook, the body of a delivery, and what follows from an attempt

pub mod kind;

pub mod config;

pub mod vpp_faults;

pub mod outcome;

pub mod tunnel;

pub mod schedule;

pub mod health;

pub mod votes;

pub mod weights;

pub mod desired;

pub mod warmup;

pub mod routes;

pub mod overrides;

pub mod revisions;

pub mod tally;

pub mod agent;

pub mod syncs;

pub mod snapshot;

pub mod core;

pub mod fleet;

pub mod preview;

pub mod history;

pub mod webhooks;

#[cfg(test)]
mod tests;
