//! Rules between the parts.

use super::*;

#[test]
fn references_exist() {
    not_valid(
        &changed("healthcheck: shell", "healthcheck: shel"),
        &[
            "17:45 error: backend `web2` uses health check `shel`, which does not exist (did you mean `shell`?)",
        ],
    );
    not_valid(
        &changed("healthcheck: shell", "healthcheck: mysql"),
        &[
            "17:45 error: backend `web2` uses health check `mysql`, which does not exist (define it under `healthchecks`)",
        ],
    );
    let text = changed("            web2: {", "            wbe2: {");
    not_valid(
        &text,
        &[
            "17:5 warning: no frontend uses backend `web2` \
             (add it to a pool, or remove it; it is probed, and gets no traffic)",
            "27:13 error: pool `primary` of frontend `www` uses backend `wbe2`, which does not exist \
             (did you mean `web2`?)",
        ],
    );
}

#[test]
fn a_backend_that_nobody_uses_is_warned_of() {
    accepted(
        &changed("  frontends:\n", "    spare: { address: 10.0.0.3 }\n  frontends:\n"),
        &["18:5 warning: no frontend uses backend `spare` \
           (add it to a pool, or remove it; it is probed, and gets no traffic)"],
    );
}

#[test]
fn backends_of_a_frontend_have_one_family() {
    let text =
        changed("10.0.0.2", "2001:db8::2").replace("flow-timeout: 40s", "ipv6-src-address: 2001:db8::1");
    not_valid(
        &text,
        &["27:13 error: backend `web2` of frontend `www` has an IPv6 address, and `web1` has an IPv4 one \
           (a frontend's backends share one family, whatever the VIP's: make two frontends)"],
    );
}

#[test]
fn backends_of_a_frontend_have_an_address_each() {
    not_valid(
        &changed("10.0.0.2", "10.0.0.1"),
        &["27:13 error: backends `web1` and `web2` of frontend `www` have the same address, 10.0.0.1 \
           (VPP tells a VIP's servers apart by their addresses: keep one of the two)"],
    );
}

/// The fine configuration with a second frontend; its lines begin at 28.
fn second(lines: &str) -> String {
    let lb = "flow-timeout: 40s";
    format!(
        "{}    next:\n{lines}      pools: [{{ name: p, backends: {{ web1: {{}} }} }}]\n",
        changed(lb, "ipv6-src-address: 2001:db8::1")
    )
}

#[test]
fn no_two_frontends_are_the_same_vip() {
    not_valid(
        &second("      address: 198.51.100.1\n      protocol: tcp\n      port: 80\n"),
        &["31:13 error: frontends `www` and `next` are the same VIP: TCP port 80 of 198.51.100.1 \
           (the first one is on line 19: give them different ports, or remove one)"],
    );
    let all = second("      address: 198.51.100.1\n").replace("      protocol: tcp\n      port: 80\n", "");
    not_valid(
        &all,
        &["27:16 error: frontends `www` and `next` are the same VIP: everything to 198.51.100.1 \
           (the first one is on line 19: give them different ports, or remove one)"],
    );
    accepted(&second("      address: 198.51.100.1\n      protocol: udp\n      port: 80\n"), &[]);
    accepted(&second("      address: 198.51.100.1\n      protocol: tcp\n      port: 81\n"), &[]);
    accepted(&second("      address: 198.51.100.2\n      protocol: tcp\n      port: 80\n"), &[]);
}

#[test]
fn no_port_stands_beside_a_vip_for_everything() {
    let help = "(an address has either one VIP for everything, or VIPs for single ports)";
    not_valid(
        &second("      address: 198.51.100.1\n"),
        &[&format!(
            "29:16 error: frontend `next` is everything to 198.51.100.1, beside frontend `www` on line 19 {help}"
        )],
    );
    let after = second("      address: 198.51.100.1\n      protocol: udp\n      port: 53\n")
        .replace("      protocol: tcp\n      port: 80\n", "");
    not_valid(
        &after,
        &[&format!(
            "29:13 error: frontend `next` is UDP port 53 of 198.51.100.1, beside frontend `www` on line 19 {help}"
        )],
    );
}

#[test]
fn frontends_of_one_address_agree_on_their_backends_family() {
    let text = second("      address: 198.51.100.1\n      protocol: tcp\n      port: 81\n")
        .replace("{ web1: {} }", "{ six: {} }")
        .replace("  frontends:\n", "    six: { address: 2001:db8::6 }\n  frontends:\n");
    not_valid(
        &text,
        &[
            "30:16 error: frontends `www` and `next` share the address 198.51.100.1, but have IPv4 and IPv6 backends \
           (all VIPs of one address have one kind of tunnel: use backends of one family, or another address)",
        ],
    );
    accepted(
        &text.replace(
            "      address: 198.51.100.1\n      protocol: tcp\n      port: 81",
            "      address: 198.51.100.2",
        ),
        &[],
    );
}

#[test]
fn tunnels_have_a_source_of_their_family() {
    not_valid(
        &changed("      ipv4-src-address: 192.0.2.1\n", ""),
        &["3:5 error: no source address for the tunnels to IPv4 backends, like `web1` \
           (set `ipv4-src-address` under `maglev: vpp: lb:`)"],
    );
    let six = FINE.replace("10.0.0.", "2001:db8::");
    not_valid(
        &six,
        &["3:5 error: no source address for the tunnels to IPv6 backends, like `web1` \
           (set `ipv6-src-address` under `maglev: vpp: lb:`)"],
    );
    let without =
        changed("  vpp:\n    lb:\n      ipv4-src-address: 192.0.2.1\n      flow-timeout: 40s\n", "");
    not_valid(
        &without,
        &["1:1 error: no source address for the tunnels to IPv4 backends, like `web1` \
           (set `ipv4-src-address` under `maglev: vpp: lb:`)"],
    );
    // A backend that no frontend uses has no tunnel.
    let spare = changed("  frontends:\n", "    spare: { address: 2001:db8::3 }\n  frontends:\n");
    assert_eq!(findings(&spare).0, 0);
}
