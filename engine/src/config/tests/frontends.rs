//! Frontends and their pools by themselves.

use super::*;

#[test]
fn protocol_and_port_go_together() {
    let help = "(set both to balance one port, or neither to balance all traffic to the address)";
    not_valid(
        &changed("      port: 80\n", ""),
        &[&format!("21:7 error: frontend `www` has a `protocol`, but no `port` {help}")],
    );
    not_valid(
        &changed("      protocol: tcp\n", ""),
        &[&format!("21:7 error: frontend `www` has a `port`, but no `protocol` {help}")],
    );
    let config = accepted(&changed("      protocol: tcp\n      port: 80\n", ""), &[]);
    assert_eq!(config.frontends["www"].service, Service::AllPorts);
    not_valid(
        &changed("protocol: tcp", "protocol: sctp"),
        &["21:17 error: `protocol` of frontend `www` is `sctp`, which is not a protocol of frontends \
           (write `tcp` or `udp`; leave `protocol` and `port` out to balance everything)"],
    );
}

#[test]
fn addresses_are_required() {
    not_valid(
        &changed("      address: 198.51.100.1\n", ""),
        &["19:5 error: frontend `www` has no `address` (every frontend needs one: it is the VIP)"],
    );
    not_valid(
        &changed("address: 10.0.0.1, ", ""),
        &[
            "16:5 error: backend `web1` has no `address` (every backend needs one: it is where the traffic goes)",
        ],
    );
}

#[test]
fn there_is_a_pool_and_it_is_not_empty() {
    let pools = "      pools:\n        - name: primary\n          backends:\n            web1: {}\n            web2: { weight: 50 }\n";
    let help = "(a frontend needs at least one pool: write `- name: ...` below `pools:`)";
    let errors = |text: &str| {
        let (code, mut found) = findings(text);
        found.retain(|line| !line.contains(" warning: "));
        (code, found)
    };
    assert_eq!(
        errors(&changed(pools, "")),
        (2, vec![format!("19:5 error: frontend `www` has no `pools` {help}")])
    );
    for empty in ["      pools:\n", "      pools: []\n"] {
        assert_eq!(
            errors(&changed(pools, empty)),
            (2, vec![format!("23:7 error: `pools` of frontend `www` is empty {help}")])
        );
    }
    let help = "(list at least one below `backends:`, like `web1: {}`, or leave the pool out)";
    for empty in ["          backends:\n", "          backends: {}\n"] {
        let text = changed(pools, &format!("      pools:\n        - name: primary\n{empty}"));
        assert_eq!(
            errors(&text),
            (2, vec![format!("25:11 error: pool 1 of frontend `www` has no backends {help}")])
        );
    }
    let text = changed(pools, "      pools:\n        - name: primary\n");
    assert_eq!(
        errors(&text),
        (2, vec![format!("24:11 error: pool 1 of frontend `www` has no backends {help}")])
    );
}

#[test]
fn pools_have_names_of_their_own() {
    not_valid(
        &changed("        - name: primary\n          backends:\n", "        - backends:\n"),
        &["24:11 error: pool 1 of frontend `www` has no `name` (name it, like `name: primary`)"],
    );
    not_valid(
        &changed(
            "            web2: { weight: 50 }\n",
            "            web2: { weight: 50 }\n        - name: primary\n          backends: { web1: {} }\n",
        ),
        &["28:17 error: frontend `www` has two pools named `primary` \
           (the first one is on line 24: give one of them another name)"],
    );
}
