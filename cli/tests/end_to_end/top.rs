//! `top` of the real program without a terminal; with one, see the shell's tests.

use crate::fake_brain::{self, Vpp};
use crate::program::{answer, refusal, run};

#[tokio::test]
async fn without_a_terminal_one_list_is_printed_and_a_batch_has_as_many_as_asked_for() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let one = answer(&server, &["top", "-i", "500ms"]).await;
    let lines: Vec<_> = one.lines().collect();
    assert!(lines[0].contains(" frontends by trouble "), "{one}");
    assert!(lines[1].starts_with("Frontend") && lines.iter().any(|line| line.starts_with("shop ")), "{one}");
    assert!(!one.contains('\u{1b}'), "{one}");
    let two = answer(&server, &["to", "b", "-b", "-n", "2", "-i", "500ms"]).await;
    assert_eq!(two.matches(" backends by trouble ").count(), 2, "{two}");
    assert!(two.contains("\n\n"), "{two}");
}

#[tokio::test]
async fn servers_that_do_not_answer_are_told_beside_the_others() {
    let server = fake_brain::on_tcp("127.0.0.1:0", Vpp::Connected).await.to_string();
    let both = run(&format!("{server},127.0.0.1:1"), &["top", "-i", "500ms"]).await;
    let text = String::from_utf8(both.stdout).unwrap();
    assert!(text.contains("127.0.0.1:1: no answer: cannot connect to 127.0.0.1:1"), "{text}");
    assert!(text.contains(&format!("shop @ {server}")) && !text.contains("up?"), "{text}");
    let (code, said) = refusal("127.0.0.1:1", &["top"]).await;
    assert!(code == 3 && said.starts_with("maglevc: cannot connect to 127.0.0.1:1"), "{code}: {said}");
    let (code, said) = refusal(&server, &["--json", "top"]).await;
    assert!(code == 2 && said.contains("`top` has no JSON"), "{code}: {said}");
}
