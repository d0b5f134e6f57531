//! Checks of further protocols, and what goes with all of them.

use super::*;

/// The configuration with this check, at line 15.
fn with(check: &str) -> String {
    changed("port: 22\n", &format!("port: 22\n    new: {{ {check} }}\n"))
}

fn kind(check: &str) -> CheckKind {
    accepted(&with(check), &[]).healthchecks["new"].kind.clone()
}

#[track_caller]
fn refused(check: &str, expected: &str) {
    let (code, found) = findings(&with(check));
    let expected = expected.replace(" of P ", " of `params` of health check `new` ");
    assert_eq!(code, 2, "{check}: {found:#?}");
    assert!(found.iter().any(|line| line.contains(&format!(" error: {expected}"))), "{check}: {found:#?}");
}

#[test]
fn bytes_may_be_text_or_hexadecimal() {
    let CheckKind::Udp { port: 5353, exchange } =
        kind("type: udp, port: 5353, params: { send: \"a\\r\\n\", expect: 'x.y' }")
    else {
        panic!("another kind");
    };
    assert_eq!(exchange.send.as_deref(), Some(&b"a\r\n"[..]));
    let expect = exchange.expect.unwrap();
    assert_eq!((expect.key, expect.text.as_str()), ("expect", "x.y"));
    assert!(expect.pattern.is_match(b"..x.y..") && !expect.pattern.is_match(b"xzy"), "it is no pattern");

    let CheckKind::Tcp { exchange, .. } =
        kind("type: tcp, port: 1, params: { send-hex: '00 fF0d', expect-hex: 80 }")
    else {
        panic!("another kind");
    };
    assert_eq!(exchange.send, Some(vec![0, 255, 13]));
    let expect = exchange.expect.unwrap();
    assert_eq!((expect.key, expect.text.as_str()), ("expect-hex", "80"));
    assert!(
        expect.pattern.is_match(b"\x7f\x80")
            && !expect.pattern.is_match("\u{80}x".as_bytes().get(..1).unwrap())
    );

    let CheckKind::Tcp { exchange, .. } = kind("type: tcp, port: 1, params: { expect-regexp: '^220[ -]' }")
    else {
        panic!("another kind");
    };
    assert!(exchange.send.is_none() && exchange.expect.unwrap().pattern.is_match(b"220 here"));
    let CheckKind::Udp { exchange, .. } = kind("type: udp, port: 1, params: { send: '' }") else {
        panic!("another kind");
    };
    assert_eq!(exchange, Exchange { send: Some(Vec::new()), expect: None });
}

#[test]
fn exchanges_are_complete_and_unambiguous() {
    for (check, expected) in [
        (
            "type: udp, params: { send: x }",
            "health check `new` has no `port` (a udp check needs the port to send to)",
        ),
        (
            "type: udp, port: 1",
            "health check `new` has neither `send` nor `send-hex` in `params` (a udp check needs",
        ),
        (
            "type: udp, port: 1, params: { send: a, send-hex: '00' }",
            "`send-hex` of P and `send` are two forms of one setting (keep one of the two)",
        ),
        (
            "type: udp, port: 1, params: { send: a, expect: b, expect-regexp: c }",
            "`expect-regexp` of P and `expect` are two forms",
        ),
        (
            "type: udp, port: 1, params: { send-hex: '0 0 0' }",
            "`send-hex` of P is `0 0 0`, which is not hexadecimal (write two digits for each byte",
        ),
        (
            "type: udp, port: 1, params: { send-hex: 'xx' }",
            "`send-hex` of P is `xx`, which is not hexadecimal",
        ),
        (
            "type: tcp, port: 1, params: { send: x }",
            "health check `new` sends something, but expects nothing (add `expect`",
        ),
        (
            "type: http, params: { send: x }",
            "`send` of P does not belong to type `http` (leave it out, or set `type` to `tcp` or `udp`)",
        ),
        (
            "type: udp, port: 1, params: { send: x, send-proxy: v1 }",
            "`send-proxy` of P does not belong to type `udp` (leave it out, or set `type` to `tcp`, `http`, `https` or `grpc`)",
        ),
        (
            "type: tcp, port: 1, params: { send-proxy: v3 }",
            "`send-proxy` of P is `v3`, which is not known (write `v1` or `v2`)",
        ),
    ] {
        refused(check, expected);
    }
    refused(
        &format!("type: udp, port: 1, params: {{ send: {} }}", "x".repeat(4097)),
        "`send` of P has 4097 bytes, which is too many (write at most 4096 bytes)",
    );
}

#[test]
fn escapes_outside_of_double_quotes_are_warned_of() {
    let text = with(r"type: tcp, port: 1, params: { send: 'PING\r\n', expect: PONG }");
    let (code, found) = findings(&text);
    assert_eq!(code, 0);
    assert!(
        found[0].contains(
            "warning: `send` of `params` of health check `new` has `\\r` as two characters (put the text in double quotes"
        ),
        "{found:#?}"
    );
}

#[test]
fn dns_asks_for_a_name() {
    let text = "type: dns, params: { name: www.example.org, record-type: AAAA, rcode: NXDOMAIN, answer-regexp: '^2001:', transport: tcp }";
    let CheckKind::Dns { port: 53, dns } = kind(text) else { panic!("another kind") };
    assert_eq!((dns.name.as_str(), dns.record_type_name()), ("www.example.org", "AAAA"));
    assert_eq!((rcode_name(dns.rcode), dns.transport), (Some("NXDOMAIN"), DnsTransport::Tcp));
    let CheckKind::Dns { port: 5300, dns } = kind("type: dns, port: 5300, params: { name: . }") else {
        panic!("another kind");
    };
    assert_eq!((dns.record_type_name(), rcode_name(dns.rcode)), ("A", Some("NOERROR")));
    assert_eq!((dns.transport, dns.answer_regexp), (DnsTransport::Udp, None));
    for (check, expected) in [
        ("type: dns", "health check `new` has no `name` in `params` (a dns check needs the name to ask for"),
        (
            "type: dns, params: { rcode: NOERROR }",
            "`params` of health check `new` has no `name` (a dns check",
        ),
        (
            "type: dns, params: { name: 'a..b' }",
            "`name` of P is `a..b`, which is not a domain name (write a name like",
        ),
        (
            "type: dns, params: { name: a, record-type: ANY }",
            "`record-type` of P is `ANY`, which is not known (write `A`,",
        ),
        (
            "type: dns, params: { name: a, rcode: noerror }",
            "`rcode` of P is `noerror`, which is not known (write `NOERROR`,",
        ),
        (
            "type: dns, params: { name: a, transport: tls }",
            "`transport` of P is `tls`, which is not known (write `udp` or `tcp`)",
        ),
        (
            "type: icmp, params: { name: a }",
            "`name` of P does not belong to type `icmp` (leave it out, or set `type` to `dns`)",
        ),
    ] {
        refused(check, expected);
    }
}

#[test]
fn grpc_asks_about_a_service() {
    let text = "type: grpc, port: 50051, params: { service: shop.v1.Cart, host: shop.example.org, ssl: true, sni: a.example }";
    let CheckKind::Grpc { port: 50051, grpc, tls: Some(tls) } = kind(text) else { panic!("another kind") };
    assert_eq!((grpc.service.as_str(), grpc.host.as_deref()), ("shop.v1.Cart", Some("shop.example.org")));
    assert!(tls.verify && tls.sni.as_deref() == Some("a.example"));
    let CheckKind::Grpc { grpc, tls: None, .. } = kind("type: grpc, port: 1") else { panic!("another kind") };
    assert_eq!(grpc, GrpcCheck::default());
    for (check, expected) in [
        ("type: grpc", "health check `new` has no `port` (a grpc check needs the port to connect to)"),
        (
            "type: grpc, port: 1, params: { sni: x }",
            "`sni` of P is set, but this check does not use TLS (add `ssl: true`",
        ),
        ("type: grpc, port: 1, params: { path: / }", "`path` of P does not belong to type `grpc`"),
        (
            "type: grpc, port: 1, params: { service: \"a\\nb\" }",
            "`service` of P is `a\\nb`, whose character 2 is U+000A",
        ),
    ] {
        refused(check, expected);
    }
}

#[test]
fn http_may_post_and_keep_its_connection() {
    let text = "type: https, params: { method: POST, body: '{}', headers: { Content-Type: application/json }, keepalive: true, send-proxy: v2 }";
    let config = accepted(&with(text), &[]);
    let check = &config.healthchecks["new"];
    assert_eq!(check.send_proxy, Some(ProxyVersion::V2));
    let CheckKind::Http { http, .. } = &check.kind else { panic!("another kind") };
    assert_eq!((http.method, http.body.as_str(), http.keepalive), (HttpMethod::Post, "{}", true));
    refused(
        "type: http, params: { body: x }",
        "`body` of P is set, but only POST sends one (set `method: POST`, or leave `body` out)",
    );
}
