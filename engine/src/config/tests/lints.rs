//! Lints, and configurations without any.

use super::*;

/// Asserts that the valid configuration with one part replaced is accepted with exactly this warning, or
/// none.
#[track_caller]
fn doubt(from: &str, to: &str, expected: Option<&str>) {
    accepted(&changed(from, to), &expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn probes_longer_than_an_interval() {
    let help = "(a probe that takes longer than the interval delays the next one: make `timeout` at most";
    for (times, expected) in [
        ("interval: 2s\n      timeout: 2s", None),
        ("interval: 2s\n      down-interval: 9s", None),
        (
            "interval: 2s\n      timeout: 3s",
            Some(
                "10:16 warning: `timeout` of health check `web` is 3s, longer than the `interval` of 2s HELP 2s)",
            ),
        ),
        (
            "interval: 2s\n      timeout: 1s\n      fast-interval: 500ms",
            Some(
                "10:16 warning: `timeout` of health check `web` is 1s, longer than the `fast-interval` of 500ms \
                 HELP 500ms)",
            ),
        ),
        (
            "interval: 2s\n      timeout: 5s\n      fast-interval: 500ms\n      down-interval: 1s",
            Some(
                "10:16 warning: `timeout` of health check `web` is 5s, longer than the `interval` of 2s and the \
                 `fast-interval` of 500ms and the `down-interval` of 1s HELP 500ms)",
            ),
        ),
        (
            "interval: 2s\n      fast-interval: 500ms",
            Some(
                "10:7 warning: `fast-interval` of health check `web` is 500ms, shorter than the timeout: without \
                 `timeout` that is `interval`, 2s HELP 500ms)",
            ),
        ),
    ] {
        doubt("interval: 2s", times, expected.map(|text| text.replace("HELP", help)).as_deref());
    }
}

#[test]
fn states_that_change_late() {
    let help = "(shorten the intervals, or ask for fewer answers in a row)";
    let stays = |place, key, what, time| {
        format!(
            "{place} warning: with the `{key}` and the intervals of health check `web`, {what} for {time} {help}"
        )
    };
    let (up, down) = ("a backend that fails stays up", "a backend that recovers stays down");
    for (times, expected) in [
        ("interval: 2s\n      fall: 300\n      rise: 300", None),
        ("interval: 2s\n      fall: 301", Some(stays("10:7", "fall", up, "602s"))),
        ("interval: 2s\n      rise: 301", Some(stays("10:7", "rise", down, "602s"))),
        ("interval: 2s\n      down-interval: 1h", Some(stays("7:5", "rise", down, "3602s"))),
    ] {
        doubt("interval: 2s", times, expected.as_deref());
    }
}

#[test]
fn a_backend_at_the_address_of_a_vip() {
    let of_web1 = Some(
        "16:22 warning: backend `web1` has the address of frontend `www` \
         (tunnels to a VIP end in VPP itself: write the address of the server behind it)",
    );
    doubt("10.0.0.1", "198.51.100.1", of_web1);
}

#[test]
fn pools_that_never_serve() {
    doubt(
        "            web1: {}\n            web2: { weight: 50 }\n",
        "            web1: { weight: 0 }\n        - { name: second, backends: { web2: {} } }\n",
        Some(
            "24:17 warning: pool `primary` of frontend `www` has only weights of 0 \
             (it gets no new flows until an operator sets a weight: give one of its backends a weight above 0)",
        ),
    );
    let behind = |line: u8| {
        format!(
            "{line}:19 warning: pool `second` of frontend `www` waits for pool `primary` to fail, where backend `web2` \
             has no health check (such a backend is up until an operator takes it out of service: give it a `healthcheck`)"
        )
    };
    let two = changed(
        "web2: { weight: 50 }\n",
        "web2: { weight: 50 }\n        - { name: second, backends: { web1: {} } }\n        - { name: third, backends: { web1: {} } }\n",
    );
    accepted(&two, &[]);
    let static_first = two.replace(", healthcheck: shell", "");
    accepted(&static_first, &[&behind(28)]);
    accepted(&static_first.replace("10.0.0.2", "10.0.0.2, enabled: false"), &[]);
    accepted(&static_first.replace("weight: 50", "weight: 0"), &[]);
    let static_last = two.replace(", healthcheck: web", "").replace("web1: {}\n            web2", "web2");
    accepted(&static_last.replace("        - { name: third, backends: { web1: {} } }\n", ""), &[]);
}

#[test]
fn a_slow_start_without_effect() {
    let given = "port: 80\n      slow-start: 30s";
    doubt("port: 80", given, None);
    let slow = changed("port: 80", given);
    accepted(
        &slow.replace("weight: 50", "weight: 0"),
        &[
            "23:19 warning: `slow-start` of frontend `www` has no effect: none of its pools has two backends with a \
           weight above 0 (a backend that is alone takes all new flows, whatever its weight: leave it out)",
        ],
    );
    accepted(&slow.replace(", healthcheck: shell", ""), &[]);
    accepted(
        &slow.replace(", healthcheck: shell", "").replace(", healthcheck: web", ""),
        &[
            "23:19 warning: `slow-start` of frontend `www` has no effect: none of its backends has a health check \
           (without one a backend is up from the start: leave it out)",
        ],
    );
}

#[test]
fn a_panic_threshold_that_takes_nobody_out() {
    let given = |percent: u8| changed("port: 80", &format!("port: 80\n      panic-threshold: {percent}"));
    accepted(&given(50), &[]);
    let enough = |percent: u8, pools: &str, help: &str| {
        format!(
            "23:24 warning: `panic-threshold` of frontend `www` is {percent}, and it has {pools}: one that is down is \
             enough (no backend is ever taken out of service then: {help})"
        )
    };
    accepted(&given(51), &[&enough(51, "pools of 2 backends at most", "set it to at most 50")]);
    let alone = given(1).replace("            web2: { weight: 50 }\n", "            web2: { weight: 0 }\n");
    accepted(&alone, &[&enough(1, "pools of one backend", "leave it out")]);
    accepted(
        &given(50).replace(", healthcheck: shell", "").replace(", healthcheck: web", ""),
        &[
            "23:24 warning: `panic-threshold` of frontend `www` has no effect: none of its backends has a health check \
           (without one no backend is ever down: leave it out)",
        ],
    );
}

/// Next to errors, a warning about the whole would be noise.
#[test]
fn doubts_wait_until_the_errors_are_gone() {
    let slow = changed("port: 80", "port: 80\n      slow-start: 30s").replace("weight: 50", "weight: 0");
    not_valid(
        &slow.replace("10.0.0.1", "10.0.0"),
        &["16:22 error: `address` of backend `web1` is `10.0.0`, which is not an IP address \
           (write it like `192.0.2.1` or `2001:db8::1`)"],
    );
}

#[test]
fn later_stages_add_their_doubts() {
    let text = FINE
        .replace("  frontends:\n", "    spare: { address: 10.0.0.3 }\n  frontends:\n    a: &a { address: 198.51.100.7, protocol: tcp, port: 1, pools: [{ name: p, backends: { web1: } }] }\n")
        + "    z: { <<: *a, port: 2 }\n";
    let mut loaded = parse("maglev.yaml", &text).unwrap();
    for frontend in ["z", "www", "www", "a", "nobody"] {
        loaded.warn(frontend, format!("{frontend} is doubtful"), "mend it");
    }
    loaded.warn("www", "again", "mend that, too");
    assert_eq!(
        told(&loaded.warnings),
        [
            "18:5 warning: no frontend uses backend `spare` (add it to a pool, or remove it; it is probed, and gets no traffic)",
            "20:5 warning: a is doubtful (mend it)",
            "21:5 warning: www is doubtful (mend it)",
            "21:5 warning: again (mend that, too)",
            "30:5 warning: z is doubtful (mend it)",
        ]
    );
    assert_eq!(
        loaded.warnings[2].to_string(),
        "maglev.yaml:21:5: warning: www is doubtful\n   |\n21 |     www:\n   |     ^^^\n   = help: mend it"
    );
}
