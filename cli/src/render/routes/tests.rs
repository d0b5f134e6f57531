use super::*;
use crate::render::tests::PLAIN;
use crate::samples::{self, NOW};

fn shown(list: &ListRoutesResponse) -> String {
    super::list(list, Moment(NOW), PLAIN)
}

#[test]
fn without_routes_the_reason_is_told() {
    assert_eq!(
        shown(&ListRoutesResponse::default()),
        "No routes: no frontend has `announce` in the configuration.\n"
    );
}

#[test]
fn what_is_decided_and_what_bird_has_are_shown() {
    let mut list = samples::routes();
    let text = shown(&list);
    assert!(text.contains("203.0.113.10  announced  announced"), "{text}");
    assert!(text.contains("hold-down after a withdrawal, 7s left"), "{text}");
    list.routes[0].announcement = Announcement::Unspecified.into();
    list.router =
        Some(Router { reason: "no answer".into(), missing: vec!["maglev_x".into()], ..Router::default() });
    let text = shown(&list);
    assert!(text.contains("left alone"), "{text}");
    assert!(text.contains("not connected: no answer") && text.contains("lacks maglev_x"), "{text}");
}

#[test]
fn a_drain_says_how_far_it_is() {
    let mut list = samples::routes();
    assert_eq!(drain(&list, Moment(NOW), PLAIN), "Not drained.\n");
    list.drain = Some(LbDrain {
        kind: LbDrainKind::Withdraw.into(),
        since_unix_ms: NOW - 60_000,
        set_by: "user anna (uid 1000)".into(),
        ..LbDrain::default()
    });
    let text = drain(&list, Moment(NOW), PLAIN);
    assert!(text.contains("1 of 2 drained") && text.contains("anna"), "{text}");
    assert!(shown(&list).contains("withdraw for 1m"), "{}", shown(&list));
    let change = DrainLbResponse { drain: list.drain.clone(), not_kept: String::new() };
    assert_eq!(
        changed(&change, PLAIN),
        "load balancer: its routes are being withdrawn; persists across restarts\n"
    );
    let undone = changed(&DrainLbResponse { drain: None, not_kept: "disk full".into() }, PLAIN);
    assert!(undone.ends_with("a restart would undo it: disk full\n"), "{undone}");
}

#[test]
fn the_kernel_has_a_table_and_no_protocols() {
    let mut list = samples::routes();
    let (version, socket) = ("kernel table 10, through the agent".into(), String::new());
    list.router = Some(Router { version, socket, ..list.router.unwrap() });
    let text = shown(&list);
    assert!(text.starts_with("Router  kernel table 10, through the agent\n"), "{text}");
    list.routes.iter_mut().for_each(|route| route.bird_protocol.clear());
    assert!(bird(&list).starts_with("# The configuration has `router: kernel`"), "{}", bird(&list));
}

#[test]
fn bird_gets_two_protocols_for_each_address_and_the_tables_that_they_need() {
    let text = bird(&samples::routes());
    assert_eq!(text.matches("protocol static ").count(), 4);
    assert!(text.contains("ipv4 table maglev4;\nipv6 table maglev6;\n"), "{text}");
    let block = "protocol static maglev_203_0_113_10_gshut {
    disabled;
    ipv4 { table maglev4; };
    route 203.0.113.10/32 blackhole { bgp_community.add((65535, 0)); };
}";
    assert!(text.contains(block), "{text}");
    assert!(text.contains("    route 2001:db8::53/128 blackhole;\n"), "{text}");
}
