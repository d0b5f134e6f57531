//! A fleet: several load balancers, called members, that share one configuration and one set of operators' intents through
//! a store (etcd). Everything here is pure; the brain reads, watches and writes the store.
//!
//! - [`records`]: keys and values of the store, with their limits
//! - [`rollout`]: which revision of the configuration each member runs, and when others follow
//! - [`intents`]: what operators want everywhere, and the commands that apply it here
//! - [`digest`]: whether members have the same tables, and why not
//! - [`withdrawal`]: whether a member that is cut off from the backends withdraws its routes
//!
//! No decision needs the store to answer: each is made from what was last read of it, and a member that cannot reach it
//! goes on with that.

pub mod records;

pub mod rollout;

pub mod intents;

pub mod digest;

pub mod withdrawal;
