//! Texts that are not YAML, unknown keys, and values of the wrong type: not parseable.

use super::*;

#[test]
fn what_is_not_yaml_is_refused_for_its_first_mistake() {
    not_parseable(
        "maglev:\n  backends: [\n  frontends: {}\n",
        &["2:13 error: not YAML: unclosed bracket '[' (no help)"],
    );
    not_parseable(
        "maglev:\n  backends: {}\n frontends: {}\n",
        &["3:2 error: not YAML: while parsing a block mapping, did not find expected key (no help)"],
    );
    not_parseable(
        "maglev: {}\n---\nmaglev: {}\n",
        &[
            "3:1 error: a second YAML document begins here (a configuration is one document: remove the `---` before it)",
        ],
    );
    not_parseable(
        "maglev: !secret x\n",
        &[
            "1:17 error: the tag `!secret` means nothing here (leave the tag out; quote a text that begins with `!`)",
        ],
    );
    not_parseable(
        "maglev:\n  [a]: b\n",
        &["2:3 error: not the YAML expected here: expected string scalar (a key is a single word or text)"],
    );
}

#[test]
fn bad_aliases_are_refused() {
    not_parseable(
        "maglev:\n  backends: *all\n",
        &["2:13 error: this alias refers to an anchor that is not defined before it \
           (define it first, as in `&name value`; quote a text that begins with `*`)"],
    );
    not_parseable(
        "maglev: &m\n  backends: *m\n",
        &[
            "2:13 error: this alias refers to a value that contains the alias itself (refer to an anchor that is complete)",
        ],
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    not_parseable(
        &changed("    web2: { address", "    web1: { address"),
        &["17:5 error: the key `web1` is given twice (the first one is on line 16: keep one of the two)"],
    );
    not_parseable(
        &changed("{ weight: 50 }", "{ weight: 50, weight: 60 }"),
        &["27:33 error: the key `weight` is given twice (the first one is on line 27: keep one of the two)"],
    );
}

#[test]
fn a_second_merge_into_one_mapping_is_refused() {
    let with = |merges: &str| {
        changed(
            "    shell:\n      type: tcp\n",
            &format!(
                "    one: &one {{ type: icmp, interval: 4s }}\n    other: &other {{ type: icmp, interval: 3s }}\n    shell:\n{merges}"
            ),
        )
    };
    let help = "merge both with one, like `<<: [*one, *other]`";
    not_parseable(
        &with("      <<: *one\n      <<: *other\n"),
        &[&format!("16:7 error: the key `<<` is given twice (the first one is on line 15: {help})")],
    );
    not_parseable(
        &with("      type: tcp\n      <<: *one\n      fall: 2\n      <<: { rise: 3 }\n"),
        &[&format!("18:7 error: the key `<<` is given twice (the first one is on line 16: {help})")],
    );
    not_parseable(
        &changed("{ weight: 50 }", "{ <<: { weight: 1 }, <<: { weight: 2 } }"),
        &[&format!("27:40 error: the key `<<` is given twice (the first one is on line 27: {help})")],
    );
    // One in each of two mappings, and one of several.
    let config = accepted(
        &with("      <<: [*one, *other]\n      type: tcp\n").replace(
            "web1: { address: 10.0.0.1, healthcheck: web }",
            "web1: { <<: { address: 10.0.0.1, healthcheck: web } }",
        ),
        &[],
    );
    assert_eq!(config.healthchecks["shell"].interval, std::time::Duration::from_secs(4));
    // What YAML takes for nothing but a text.
    accepted(&changed("path: /healthz", "response-regexp: '<<a|<<b'"), &[]);
}

#[test]
fn the_file_has_one_key() {
    let help = "(everything goes below the single key `maglev:`)";
    not_parseable("", &[&format!("1:1 error: the file is empty {help}")]);
    not_parseable("# nothing\n", &[&format!("1:1 error: the file is empty {help}")]);
    not_parseable("{}", &[&format!("1:1 error: the file has no `maglev` {help}")]);
    not_parseable("- a\n", &[&format!("1:1 error: the file must be a mapping, not a list {help}")]);
    not_parseable(
        "maglev",
        &[&format!("1:1 error: the file must be a mapping, not the text `maglev` {help}")],
    );
    not_parseable("magelv: {}\n", &["1:1 error: unknown key `magelv` in the file (did you mean `maglev`?)"]);
    not_parseable(
        "maglev: {}\nlogging: {}\n",
        &["2:1 error: unknown key `logging` in the file (its only key is `maglev`)"],
    );
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for (from, to, expected) in [
        ("  vpp:\n", "  vppp:\n", None),
        ("  frontends:\n", "  frontend:\n", None),
        ("    lb:\n", "    bl:\n", Some("3:5 error: unknown key `bl` in `vpp` (did you mean `lb`?)")),
        (
            "flow-timeout: 40s",
            "flow_timeout: 40s",
            Some("5:7 error: unknown key `flow_timeout` in `lb` of `vpp` (did you mean `flow-timeout`?)"),
        ),
        (
            "interval: 2s",
            "intervall: 2s",
            Some("9:7 error: unknown key `intervall` in health check `web` (did you mean `interval`?)"),
        ),
        (
            "path: /healthz",
            "Path: /healthz",
            Some("11:9 error: unknown key `Path` in `params` of health check `web` (did you mean `path`?)"),
        ),
        (
            "10.0.0.1, healthcheck",
            "10.0.0.1, check",
            Some(
                "16:32 error: unknown key `check` in backend `web1` (its keys are `address`, `enabled`, `healthcheck`, `labels` and `require`)",
            ),
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      sticky: true",
            Some(
                "22:7 error: unknown key `sticky` in frontend `www` (its keys are `address`, `announce`, `description`, \
                 `flush-on-down`, `new-flows-table-length`, `panic-threshold`, `pools`, `port`, \
                 `protocol`, `slow-start` and `src-ip-sticky`)",
            ),
        ),
        (
            "- name: primary",
            "- name: primary\n          weight: 3",
            Some(
                "25:11 error: unknown key `weight` in pool 1 of frontend `www` (its keys are `backends`, `min-up` and `name`)",
            ),
        ),
        (
            "weight: 50",
            "wieght: 50",
            Some(
                "27:21 error: unknown key `wieght` in backend `web2` of pool 1 of frontend `www` (did you mean `weight`?)",
            ),
        ),
    ] {
        let (code, found) = findings(&changed(from, to));
        assert_eq!(code, 1, "{to}");
        match expected {
            Some(expected) => assert!(found.contains(&expected.to_owned()), "{found:#?}"),
            None => {
                assert!(found.iter().any(|line| line.contains("error: unknown key")), "{found:#?}")
            }
        }
    }
    not_parseable(
        "maglev:\n  healthchecker: { history: 5 }\n  frontends: {}\n",
        &[
            "2:20 error: unknown key `history` in `healthchecker` (its keys are `agent-interval`, `damping`, `guard`, `netns` and `transition-history`)",
        ],
    );
}

#[test]
fn sections_are_mappings_and_pools_a_list() {
    let help = "(write `key: value` lines below it, further in)";
    for (from, to, expected) in [
        (
            "{ address: 10.0.0.1, healthcheck: web }",
            "10.0.0.1",
            format!("16:11 error: backend `web1` must be a mapping, not the text `10.0.0.1` {help}"),
        ),
        (
            "{ weight: 50 }",
            "50",
            "27:19 error: backend `web2` of pool 1 of frontend `www` must be a mapping, not the number `50` (write a weight as `{ weight: 50 }`)"
                .to_owned(),
        ),
        (
            "{ weight: 50 }",
            "half",
            "27:19 error: backend `web2` of pool 1 of frontend `www` must be a mapping, not the text `half` \
             (write `{}`, or `{ weight: 50 }`)"
                .to_owned(),
        ),
        (
            "            web1: {}\n            web2: { weight: 50 }\n",
            "            - web1\n            - web2\n",
            "25:11 error: `backends` of pool 1 of frontend `www` must be a mapping, not a list \
             (write each backend as `web1: {}`, without `-`)"
                .to_owned(),
        ),
        (
            "        - name: primary\n          backends:\n            web1: {}\n            web2: { weight: 50 }\n",
            "        primary: {}\n",
            "23:7 error: `pools` of frontend `www` must be a list, not a mapping \
             (their order is their preference: write each pool as `- name: ...`)"
                .to_owned(),
        ),
        (
            "        - name: primary\n",
            "        - primary\n        - name: second\n",
            "24:11 error: pool 1 of frontend `www` must be a mapping, not the text `primary` \
             (write each pool as `- name: ...`)"
                .to_owned(),
        ),
    ] {
        let (code, found) = findings(&changed(from, to));
        assert_eq!(code, 1);
        assert!(found.contains(&expected), "{found:#?}");
    }
}

#[test]
fn a_key_without_value_is_refused() {
    not_parseable(
        &changed("address: 198.51.100.1", "address:"),
        &["20:7 error: `address` of frontend `www` has no value (give it one, or leave the key out)"],
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for (from, to, expected) in [
        (
            "flow-timeout: 40s",
            "flow-timeout: 40",
            "5:21 error: `flow-timeout` of `lb` of `vpp` is the bare number `40`, which has no unit \
             (write its unit: `40s` for seconds, `40ms` for milliseconds)",
        ),
        (
            "interval: 2s",
            "interval: 0.5",
            "9:17 error: `interval` of health check `web` is the bare number `0.5`, which has no unit \
             (write its unit: `0.5s` for seconds, `0.5ms` for milliseconds)",
        ),
        (
            "interval: 2s",
            "interval: [2s]",
            "9:17 error: `interval` of health check `web` must be a duration, not a list \
             (write numbers with units (ms, s, m, h), like `250ms`, `5s` or `1m30s`)",
        ),
        (
            "port: 22",
            "port: ssh",
            "14:13 error: `port` of health check `shell` must be a whole number, not the text `ssh` \
             (write a whole number from 1 to 65535)",
        ),
        (
            "port: 22",
            "port: \"22\"",
            "14:13 error: `port` of health check `shell` must be a whole number, not the text `22` \
             (write a whole number from 1 to 65535, without quotes)",
        ),
        (
            "port: 22",
            "port: 0443",
            "14:13 error: `port` of health check `shell` must be a whole number, not the number `0443` \
             (write a whole number from 1 to 65535, without zeros before it, which mean octal to some programs: `443`)",
        ),
        (
            "weight: 50",
            "weight: 007",
            "27:29 error: `weight` of backend `web2` of pool 1 of frontend `www` must be a whole number, not the number `007` (write a whole number from 0 to 100, without zeros before it, \
             which mean octal to some programs: `7`)",
        ),
        (
            "port: 22",
            "port: \"0x1BB\"",
            "14:13 error: `port` of health check `shell` must be a whole number, not the text `0x1BB` \
             (write a whole number from 1 to 65535, without quotes)",
        ),
        (
            "port: 22",
            "port: '1_000'",
            "14:13 error: `port` of health check `shell` must be a whole number, not the text `1_000` \
             (write a whole number from 1 to 65535, without quotes)",
        ),
        (
            "port: 22",
            "port: 2.2e1",
            "14:13 error: `port` of health check `shell` must be a whole number, not the number `2.2e1` \
             (write a whole number from 1 to 65535)",
        ),
        (
            "port: 22",
            "port: {}",
            "14:13 error: `port` of health check `shell` must be a whole number, not a mapping \
             (write a whole number from 1 to 65535)",
        ),
        (
            "port: 22",
            "port: 22\n      type: [tcp]",
            "15:7 error: the key `type` is given twice (the first one is on line 13: keep one of the two)",
        ),
        (
            "path: /healthz",
            "path: [a]",
            "11:15 error: `path` of `params` of health check `web` must be a text, not a list \
             (write a text, in quotes if it has special characters)",
        ),
        (
            "path: /healthz",
            "response-code: true",
            "11:24 error: `response-code` of `params` of health check `web` is the boolean `true`, \
             where status codes belong \
             (write codes from 100 to 599 and ascending ranges of them, like \"200,204,300-399\")",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      src-ip-sticky: maybe",
            "22:22 error: `src-ip-sticky` of frontend `www` must be true or false, not the text `maybe` \
             (write `true` or `false`, without quotes)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      flush-on-down: 'yes'",
            "22:22 error: `flush-on-down` of frontend `www` must be true or false, not the text `yes` \
             (write `true` or `false`, without quotes)",
        ),
        (
            "protocol: tcp",
            "protocol: tcp\n      flush-on-down: 1",
            "22:22 error: `flush-on-down` of frontend `www` must be true or false, not the number `1` \
             (write `true` or `false`, without quotes)",
        ),
        (
            "address: 198.51.100.1",
            "address: [198.51.100.1]",
            "20:16 error: `address` of frontend `www` must be an IP address, not a list \
             (write it like `192.0.2.1` or `2001:db8::1`)",
        ),
    ] {
        not_parseable(&changed(from, to), &[expected]);
    }
}

/// A wrong structure outweighs broken rules, so that scripts can tell the two apart.
#[test]
fn the_class_is_that_of_the_gravest_error() {
    let both = changed("10.0.0.1", "10.0.0").replace("weight: 50", "wieght: 50");
    let (code, found) = findings(&both);
    assert_eq!((code, found.len()), (1, 2));
}
