//! What the fuzzer checks, on its kept corpus and damaged copies of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../fuzz/src/http_answers.rs"]
mod http_answers;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn any_answer_of_a_web_server() {
    replay::replay("http_answers", http_answers::check);
}
