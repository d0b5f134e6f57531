//! What the fuzzer checks, on its kept corpus and damaged copies of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../fuzz/src/agent_lines.rs"]
mod agent_lines;
#[path = "../../fuzz/src/dns_answers.rs"]
mod dns_answers;
#[path = "../../fuzz/src/grpc_answers.rs"]
mod grpc_answers;
#[path = "../../fuzz/src/http_answers.rs"]
mod http_answers;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn any_line_of_an_agent() {
    replay::replay("agent_lines", agent_lines::check);
}

#[test]
fn any_answer_of_a_web_server() {
    replay::replay("http_answers", http_answers::check);
}

#[test]
fn any_answer_of_a_name_server() {
    replay::replay("dns_answers", dns_answers::check);
}

#[test]
fn any_answer_of_a_grpc_server() {
    replay::replay("grpc_answers", grpc_answers::check);
}
