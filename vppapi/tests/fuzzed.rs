//! The fuzzer's checks, run on its kept corpora and on damaged copies of them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../fuzz/src/api_frames.rs"]
mod api_frames;
#[path = "../../fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/src/stats_segment.rs"]
mod stats_segment;

#[test]
fn any_stream_of_frames() {
    replay::replay("api_frames", api_frames::check);
}

#[test]
fn any_stats_segment() {
    replay::replay("stats_segment", stats_segment::check);
}
