//! What every fuzz target checks: a function each, which takes any bytes and panics if a decoder breaks its word.
//!
//! The tests `fuzzed` of the crates compile the same files, replay the kept corpora and feed damaged copies of them,
//! so that nobody needs a fuzzer to find an old fault again.

pub mod agent_calls;
pub mod api_frames;
pub mod cli_text;
pub mod dumps;
pub mod http_answers;
pub mod icmp_packets;
pub mod overrides;
pub mod rpc_frames;
pub mod stats_segment;
