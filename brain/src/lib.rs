//! maglev-brain: decides where new flows of each VIP may go, and tells the agent.
//!
//! Data flows one way, through a type at every arrow:
//! `Config -> ProbeOutcome -> Health -> EffectiveWeights -> VipSpec`. The modules stand in that order, and
//! each uses only the types of those before it; `config`, `health`, `weights` and `desired` are pure.

mod tls;

pub mod config;

pub mod probe;

pub mod health;

pub mod weights;

pub mod desired;

pub mod warmup;

pub mod overrides;

pub mod tally;

pub mod agent;

mod coalesced;

pub mod figures;

pub mod controller;

pub mod logs;

pub mod metrics;

pub mod grpc;

pub mod reload;

pub mod netns;

pub mod open_files;

pub mod service;
