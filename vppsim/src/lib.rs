//! A simulated VPP for development and tests: its API and stats sockets, its lb plugin with the real bucket
//! table, and a data path in user space.
//!
//! [`lb`], [`text`], [`api`] and [`faults`] are pure: no I/O, no clock. [`api::Simulator`] alone is a whole
//! VPP for deterministic simulations: requests in, answers out; packets in, servers out. [`host`] adds clock
//! and data path, and [`instance`] the sockets, as in the program `vppsim`.

pub mod address;
pub mod api;
pub mod control;
pub mod datapath;
pub mod faults;
pub mod fib;
pub mod host;
pub mod instance;
pub mod lb;
pub mod pool;
pub mod run_dir;
pub mod server;
pub mod stats;
pub mod text;
