//! The fuzz targets: one function each, which accepts any bytes and panics if a decoder breaks a guarantee.
//!
//! The crates' `fuzzed` tests compile the same files, and replay the kept corpora and damaged copies of them,
//! so that old bugs are found again without a fuzzer.

pub mod agent_calls;
pub mod agent_lines;
pub mod api_frames;
pub mod bird_replies;
pub mod cli_text;
pub mod dns_answers;
pub mod dumps;
pub mod fleet_records;
pub mod grpc_answers;
pub mod http_answers;
pub mod icmp_packets;
pub mod overrides;
pub mod rpc_frames;
pub mod stats_segment;
pub mod tunnel_packets;
