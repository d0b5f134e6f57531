use maglev_proto::{Pool, PoolBackend};

use super::*;
use crate::shell::walk::walk;
use crate::shell::words::split;
use crate::tree;

#[test]
fn names_that_could_harm_the_terminal_or_the_line_are_left_out() {
    let backends = ["web1", "", "-x", "#x", "a b", "a'b", "a\u{1b}[2J", "ümlaut", "web1", "a.b_c:d-e/f@g+h"];
    let names = Names { backends: backends.map(str::to_owned).to_vec(), ..Names::default() };
    let tree = tree::of_shell();
    let walk = walk(&tree, &split("show backends").words).unwrap();
    assert_eq!(names.of(Kind::Backend, &walk), ["a.b_c:d-e/f@g+h", "web1"]);
}

#[test]
fn names_are_taken_from_the_messages() {
    let member = |name: &str| PoolBackend { backend: name.into(), ..PoolBackend::default() };
    let pool = Pool { name: "p".into(), backends: vec![member("b1"), member("b2")], ..Pool::default() };
    let frontend = Frontend { name: "f".into(), pools: vec![pool], ..Frontend::default() };
    let pools = vec![("p".to_owned(), vec!["b1".to_owned(), "b2".to_owned()])];
    assert_eq!(FrontendNames::from(frontend), FrontendNames { name: "f".into(), pools });
    let set = |frontend: &str, pool: &str| Override {
        backend: "b".into(),
        frontend: frontend.into(),
        pool: pool.into(),
        ..Override::default()
    };
    assert_eq!(OverrideNames::from(set("", "")).place, None);
    assert_eq!(OverrideNames::from(set("f", "p")).place, Some(("f".into(), "p".into())));
}
