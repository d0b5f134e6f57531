//! VPP's binary API and its stats segment, for async Rust.
//!
//! - [`client`]: connects to VPP's API socket; requests, dumps, and bursts of pipelined requests, each with a timeout.
//! - [`stats`]: maps VPP's counters and reads them without costing VPP anything.
//! - [`messages`], [`types`], [`wire`], [`frame`]: the protocol itself, without I/O, for clients and servers. Safe
//!   against hostile input.
//! - [`table`], [`retval`]: the messages that a VPP has, and the meanings of its return values.
//!
//! Covers the messages about the connection, the version and the CLI, and those of the lb plugin of VPP 26.10 and of
//! VPP 23.06 to 26.06. A message that a VPP lacks, or has with another layout, is not sent: the error names it. The
//! crate has no policy: what to ask of VPP, and when to reconnect, is up to the caller.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use vppapi::client::{Client, ConnectOptions, PreparedRequest};
//! use vppapi::messages::{LbAddDelAsV2, LbAsSetWeight, LbVipDump, ShowVersion};
//! use vppapi::stats::StatsSegment;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions { name: "example".to_owned(), ..ConnectOptions::default() };
//! let vpp = Client::connect("/run/vpp/api.sock", options).await?;
//! let version = vpp.call(ShowVersion {}).await?;
//! println!("VPP {}, process {}", version.version, vpp.pid());
//!
//! // A dump, then a burst: both requests are sent before the first is answered.
//! for found in vpp.dump(LbVipDump::default()).await? {
//!     let as_address = "192.0.2.7".parse()?;
//!     let (vip, weight) = (found.vip, 10);
//!     let add = LbAddDelAsV2 { vip, as_address, weight, is_del: false, is_flush: false };
//!     let drain = LbAsSetWeight { vip, as_address, weight: 0, is_flush: false };
//!     let burst = vec![PreparedRequest::new(&add), PreparedRequest::new(&drain)];
//!     for result in vpp.pipeline(burst).await {
//!         if let Err(error) = result {
//!             println!("{vip}: {error}");
//!         }
//!     }
//! }
//!
//! let stats = StatsSegment::connect("/run/vpp/stats.sock", Duration::from_secs(5)).await?;
//! let routes = stats.read(|view| view.combined_counters("/net/route/to")).await?;
//! println!("{} threads count routes", routes.len());
//!
//! let reason = vpp.closed().await;
//! println!("disconnected: {reason}");
//! # Ok(())
//! # }
//! ```

#[macro_use]
mod macros;

pub mod client;
pub mod frame;
pub mod messages;
pub mod retval;
pub mod stats;
pub mod table;
pub mod types;
pub mod wire;
