//! `maglev-dashboard`: web pages over one or more load balancers, as a client of their brains.
//!
//! It decides nothing: what a change would do, it asks. From a brain to a browser:
//!
//! - [`brain`]: one task for each brain follows its events and asks for what they mean.
//! - [`state`]: what is known of all of them, made into rows ([`rows`], [`fleet`]) and events; [`history`].
//! - [`documents`]: the rows, and what changed in them since browsers were last told.
//! - [`live`]: that, as one stream for all browsers; [`ring`] keeps its end for those who come back.
//! - [`web`]: the pages, and what they ask for. [`access`]: who may see and change what. [`plan`]: changes, in two steps.
//! - [`listen`]: sockets, TLS and connections.

pub mod access;
pub mod arguments;
pub mod brain;
pub mod documents;
pub mod fleet;
pub mod history;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod plan;
pub mod ring;
pub mod rows;
pub mod state;
pub mod web;
