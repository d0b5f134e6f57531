//! The fuzzer's checks, run on its kept corpus and on damaged copies of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../fuzz/src/bird_replies.rs"]
mod bird_replies;
#[path = "../../fuzz/src/fleet_records.rs"]
mod fleet_records;
#[path = "../../fuzz/src/overrides.rs"]
mod overrides;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn any_file_of_overrides() {
    replay::replay("overrides", overrides::check);
}

#[test]
fn any_answer_of_bird() {
    replay::replay("bird_replies", bird_replies::check);
}

#[test]
fn any_value_of_a_fleet() {
    replay::replay("fleet_records", fleet_records::check);
}
