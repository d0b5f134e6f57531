//! The fuzzer's checks, run on its kept corpora and on damaged copies of them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../fuzz/src/agent_calls.rs"]
mod agent_calls;
#[path = "../../fuzz/src/cli_text.rs"]
mod cli_text;
#[path = "../../fuzz/src/dumps.rs"]
mod dumps;
#[path = "../../fuzz/src/icmp_packets.rs"]
mod icmp_packets;
#[path = "../../fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/src/rpc_frames.rs"]
mod rpc_frames;
#[path = "../../fuzz/src/tunnel_packets.rs"]
mod tunnel_packets;

#[test]
fn any_calls_of_the_agent() {
    replay::replay("agent_calls", agent_calls::check);
}

#[test]
fn any_text() {
    replay::replay("cli_text", cli_text::check);
}

#[test]
fn any_dumps() {
    replay::replay("dumps", dumps::check);
}

#[test]
fn any_frame_between_brain_and_agent() {
    replay::replay("rpc_frames", rpc_frames::check);
}

#[test]
fn any_packet_from_the_tun_device() {
    replay::replay("tunnel_packets", tunnel_packets::check);
}

#[test]
fn any_icmp_packet() {
    replay::replay("icmp_packets", icmp_packets::check);
}
