use super::*;
use crate::render::tests::PLAIN;

#[test]
fn records_are_lines_with_their_author() {
    let at_unix_ms = 1_795_957_506_123;
    let pause = HistoryRecord {
        at_unix_ms,
        kind: "command".into(),
        backend: "web1".into(),
        what: "set backend web1 pause".into(),
        who: "user anna (uid 1000)".into(),
        reason: "RAM \u{1b}swap".into(),
        ..HistoryRecord::default()
    };
    let paused = HistoryRecord {
        at_unix_ms,
        kind: "backend".into(),
        backend: "web1".into(),
        from: BackendState::Up.into(),
        to: BackendState::Paused.into(),
        what: "paused".into(),
        ..HistoryRecord::default()
    };
    let mut history =
        GetHistoryResponse { records: vec![pause, paused], left_out: 1, ..GetHistoryResponse::default() };
    let text = list(&history, PLAIN);
    let expected = "\
1 older record left out; `num` shows more
Time                      Kind     About  What
2026-11-29T13:05:06.123Z  command  web1   set backend web1 pause  by user anna (uid 1000): RAM \\u{1b}swap
2026-11-29T13:05:06.123Z  backend  web1   up -> paused  paused
";
    assert_eq!(text, expected);
    history =
        GetHistoryResponse { damaged_lines: 2, not_written: "full".into(), ..GetHistoryResponse::default() };
    let text = list(&history, PLAIN);
    assert!(text.starts_with("No records.\n2 damaged lines in"), "{text}");
    assert!(text.contains("missing: full"), "{text}");
}
