//! Accepted configurations and their meanings.

use std::net::IpAddr;
use std::time::Duration;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn whatever_is_left_out_has_its_default() {
    let config = accepted(FINE, &[]);
    assert_eq!(config.healthchecker, settings::DEFAULT_HEALTHCHECKER);
    assert_eq!(
        config.lb,
        LbSettings {
            ipv4_src_address: Some("192.0.2.1".parse().unwrap()),
            ipv6_src_address: None,
            sticky_buckets_per_core: 65536,
            flow_timeout: Duration::from_secs(40),
            sync_interval: Duration::from_secs(30),
            startup_min_delay: Duration::from_secs(5),
            startup_max_delay: Duration::from_secs(30),
            vpp_lb_api: maglev_protocol::Dialect::Weighted,
        }
    );
    let shell = &config.healthchecks["shell"];
    let two_seconds = Duration::from_secs(2);
    assert_eq!(
        (shell.interval, shell.fast_interval, shell.down_interval, shell.timeout),
        (two_seconds, two_seconds, two_seconds, two_seconds)
    );
    assert_eq!((shell.rise, shell.fall), (2, 3));
    assert_eq!(shell.kind, CheckKind::Tcp { port: 22, exchange: Exchange::default(), tls: None });
    let CheckKind::Http { port: 80, http, tls: None } = &config.healthchecks["web"].kind else {
        panic!("not an http check on port 80")
    };
    assert_eq!((http.method, http.path.as_str(), &http.host), (HttpMethod::Get, "/healthz", &None));
    assert_eq!(http.response_codes, StatusCodes(vec![(200, 399)]));
    assert!(http.headers.is_empty() && http.response_regexp.is_none());
    assert_eq!(
        config.backends["web1"],
        Backend {
            address: ip("10.0.0.1"),
            healthchecks: vec!["web".to_owned()],
            require: Require::All,
            enabled: true,
            labels: BTreeMap::new(),
        }
    );
    let www = &config.frontends["www"];
    assert_eq!((www.address, www.service), (ip("198.51.100.1"), Service::Tcp(80)));
    assert_eq!((www.src_ip_sticky, www.flush_on_down), (false, true));
    assert_eq!((www.description.as_str(), www.new_flows_table_length), ("", None));
    assert_eq!((www.slow_start, www.panic_threshold), (None, None));
    let weights = [("web1".to_owned(), 100), ("web2".to_owned(), 50)];
    assert_eq!(www.pools, [Pool { name: "primary".to_owned(), backends: weights.into(), min_up: None }]);
}

#[test]
fn intervals_that_are_left_out_follow_the_interval() {
    let config =
        accepted(&changed("port: 22", "port: 22\n      interval: 500ms\n      down-interval: 1m30s"), &[]);
    let shell = &config.healthchecks["shell"];
    assert_eq!(shell.interval, Duration::from_millis(500));
    assert_eq!(shell.fast_interval, Duration::from_millis(500));
    assert_eq!(shell.down_interval, Duration::from_secs(90));
    assert_eq!(shell.timeout, Duration::from_millis(500));
}

#[test]
fn every_key_reaches_the_model() {
    let text = r#"
maglev:
  healthchecker: { transition-history: 12, netns: dataplane }
  vpp:
    lb:
      ipv4-src-address: 192.0.2.1
      ipv6-src-address: 2001:db8::1
      sticky-buckets-per-core: 0x8000
      flow-timeout: 2m
      sync-interval: 10s
      startup-min-delay: 0
      startup-max-delay: 1m
  healthchecks:
    web:
      type: http
      port: 8080
      interval: 1s
      fast-interval: 200ms
      down-interval: 5s
      timeout: 150ms
      rise: 4
      fall: 5
      probe-ipv4-src: 10.0.0.254
      probe-ipv6-src: 2001:db8::254
      params:
        path: "/a%20b?x=1"
        method: HEAD
        host: "www.example.org:8080"
        response-code: 200, 204,300-399
        headers: { X-B: 2, X-A: "one two" }
    body: { type: http, params: { response-regexp: '^ok\s', response-code: 200 } }
  backends:
    a: { address: "2001:db8:1::1", healthcheck: web, enabled: no }
    b: { address: 2001:db8:1::2, healthcheck: body }
    static: { address: 2001:db8:1::3 }
    also-static: { address: 2001:db8:1::4, healthcheck: "" }
  frontends:
    all:
      description: |
        Everything
      address: 198.51.100.1
      src-ip-sticky: true
      flush-on-down: false
      new-flows-table-length: 65536
      slow-start: 1m30s
      panic-threshold: 50
      pools:
        - name: primary
          backends: { a: , b: { weight: 0 } }
        - { name: fallback, backends: { a: { weight: 1 }, static: {}, also-static: {} } }
    dns: { address: 2001:db8::53, protocol: udp, port: 53, pools: [{ name: p, backends: { b: {} } }] }
"#;
    let config = accepted(text, &[]);
    assert_eq!(
        config.healthchecker,
        HealthChecker {
            transition_history: 12,
            netns: Some("dataplane".to_owned()),
            ..settings::DEFAULT_HEALTHCHECKER
        }
    );
    assert_eq!(
        config.lb,
        LbSettings {
            ipv4_src_address: Some("192.0.2.1".parse().unwrap()),
            ipv6_src_address: Some("2001:db8::1".parse().unwrap()),
            sticky_buckets_per_core: 32768,
            flow_timeout: Duration::from_secs(120),
            sync_interval: Duration::from_secs(10),
            startup_min_delay: Duration::ZERO,
            startup_max_delay: Duration::from_secs(60),
            vpp_lb_api: maglev_protocol::Dialect::Weighted,
        }
    );
    let web = &config.healthchecks["web"];
    assert_eq!(web.interval, Duration::from_secs(1));
    assert_eq!(web.fast_interval, Duration::from_millis(200));
    assert_eq!(web.down_interval, Duration::from_secs(5));
    assert_eq!(web.timeout, Duration::from_millis(150));
    assert_eq!((web.rise, web.fall), (4, 5));
    assert_eq!(web.source_for(ip("10.1.1.1")), Some(ip("10.0.0.254")));
    assert_eq!(web.source_for(ip("2001:db8:1::1")), Some(ip("2001:db8::254")));
    let CheckKind::Http { port: 8080, http, tls: None } = &web.kind else { panic!("not on port 8080") };
    assert_eq!((http.method, http.path.as_str()), (HttpMethod::Head, "/a%20b?x=1"));
    assert_eq!(http.host.as_deref(), Some("www.example.org:8080"));
    assert_eq!(http.response_codes, StatusCodes(vec![(200, 200), (204, 204), (300, 399)]));
    let headers = [("X-B".to_owned(), "2".to_owned()), ("X-A".to_owned(), "one two".to_owned())];
    assert_eq!(http.headers, headers);
    let CheckKind::Http { http: body, .. } = &config.healthchecks["body"].kind else { panic!("not http") };
    assert_eq!(body.response_codes, StatusCodes(vec![(200, 200)]));
    assert!(body.response_regexp.as_ref().unwrap().is_match(b"ok \xff"));
    assert!(!config.backends["a"].enabled);
    assert_eq!(config.backends["static"].healthchecks, [""; 0]);
    assert_eq!(config.backends["also-static"].healthchecks, [""; 0]);
    let all = &config.frontends["all"];
    assert_eq!((all.description.as_str(), all.service), ("Everything", Service::AllPorts));
    assert_eq!((all.src_ip_sticky, all.flush_on_down), (true, false));
    assert_eq!(all.new_flows_table_length, Some(65536));
    assert_eq!((all.slow_start, all.panic_threshold), (Some(Duration::from_secs(90)), Some(50)));
    assert_eq!(all.pools[0].backends, [("a".to_owned(), 100), ("b".to_owned(), 0)].into());
    assert_eq!(all.pools[1].name, "fallback");
    assert_eq!(all.pools[1].backends["a"], 1);
    assert_eq!(config.frontends["dns"].service, Service::Udp(53));
}

/// Both spellings of the parameters that have two, read from checks that no backend uses.
#[test]
fn parameters_of_tls_have_two_spellings() {
    let check = |params: &str| {
        let text = changed(
            "  backends:\n    web1:",
            &format!("    tls: {{ type: https, params: {params} }}\n  backends:\n    web1:"),
        );
        let loaded = parse_with("maglev.yaml", &text, &ca_files::contents, today()).unwrap();
        assert!(loaded.warnings.is_empty());
        match &loaded.config.healthchecks["tls"].kind {
            CheckKind::Http { port: 443, tls: Some(tls), .. } => tls.clone(),
            other => panic!("{other:?}"),
        }
    };
    let tls = |verify, sni: Option<&str>| TlsCheck { verify, sni: sni.map(str::to_owned), ca_file: None };
    assert_eq!(check("{}"), tls(true, None));
    assert_eq!(check("{ sni: a.example.org, ssl-verify: false }"), tls(false, Some("a.example.org")));
    assert_eq!(
        check("{ server-name: a.example.org, insecure-skip-verify: true }"),
        tls(false, Some("a.example.org"))
    );
    assert_eq!(check("{ insecure-skip-verify: false }"), tls(true, None));
    assert_eq!(check("{ ca-file: /ca.pem }").ca_file.map(|file| file.path).as_deref(), Some("/ca.pem"));
}

#[test]
fn tcp_has_tls_if_it_is_asked_for() {
    let text = changed(
        "port: 22\n",
        "port: 22\n    over-tls: { type: tcp, port: 993, params: { ssl: true, sni: mx } }\n",
    );
    let loaded = parse("maglev.yaml", &text).unwrap();
    let CheckKind::Tcp { port: 993, tls: Some(tls), .. } = &loaded.config.healthchecks["over-tls"].kind
    else {
        panic!("no TLS")
    };
    assert_eq!(*tls, TlsCheck { verify: true, sni: Some("mx".to_owned()), ca_file: None });
    let plain = changed("port: 22\n", "port: 22\n      params: { ssl: false }\n");
    assert!(matches!(accepted(&plain, &[]).healthchecks["shell"].kind, CheckKind::Tcp { tls: None, .. }));
}

#[test]
fn anchors_and_merges_work() {
    let text = changed(
        "    shell:\n      type: tcp\n      port: 22\n",
        "    shell: &tcp\n      type: tcp\n      port: &port 22\n      rise: 7\n    other:\n      <<: *tcp\n      port: 23\n    third: { <<: *tcp, port: *port }\n",
    );
    let config = accepted(&text, &[]);
    assert!(matches!(config.healthchecks["other"].kind, CheckKind::Tcp { port: 23, .. }));
    assert!(matches!(config.healthchecks["third"].kind, CheckKind::Tcp { port: 22, .. }));
    assert_eq!(config.healthchecks["other"].rise, 7);
}

#[test]
fn json_and_numeric_names_are_accepted() {
    let text = r#"{"maglev": {"vpp": {"lb": {"ipv4-src-address": "192.0.2.1"}},
        "backends": {"010": {"address": "10.0.0.1"}},
        "frontends": {"1": {"address": "198.51.100.1", "pools": [{"name": 007, "backends": {010: {}}}]}}}}"#;
    let config = accepted(text, &[]);
    assert_eq!(config.frontends["1"].pools[0].name, "007");
    assert_eq!(config.frontends["1"].pools[0].backends["010"], 100);
}

#[test]
fn a_backend_may_stand_in_two_pools() {
    let text = changed(
        "            web2: { weight: 50 }\n",
        "            web2: { weight: 50 }\n        - name: fallback\n          backends: { web1: { weight: 3 } }\n",
    );
    assert_eq!(accepted(&text, &[]).frontends["www"].pools[1].backends["web1"], 3);
}

#[test]
fn an_empty_configuration_is_legal_and_warned_of() {
    for (text, place) in
        [("maglev: {}\n", "1:1"), ("maglev:\n", "1:1"), ("maglev:\n  frontends: {}\n", "2:3")]
    {
        let config = accepted(
            text,
            &[&format!(
                "{place} warning: there are no frontends: every VIP will be removed from VPP (define them under `frontends`)"
            )],
        );
        assert!(config.frontends.is_empty() && config.backends.is_empty());
    }
}
