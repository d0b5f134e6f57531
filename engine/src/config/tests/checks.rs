//! Health checks: their types, and the parameters that fit them.

use super::*;

#[test]
fn a_check_has_a_type() {
    not_valid(
        &changed("      type: tcp\n", ""),
        &[
            "12:5 error: health check `shell` has no `type` (set it to one of `tcp`, `http`, `https`, `icmp`, `udp`, `dns` and `grpc`)",
        ],
    );
    for (given, help) in [
        ("ping", "the types are `tcp`, `http`, `https`, `icmp`, `udp`, `dns` and `grpc`"),
        ("TCP", "the types are `tcp`, `http`, `https`, `icmp`, `udp`, `dns` and `grpc`"),
        ("static", "a static backend has no check: leave `healthcheck` out of it"),
    ] {
        not_valid(
            &changed("type: tcp", &format!("type: {given}")),
            &[&format!(
                "13:13 error: `type` of health check `shell` is `{given}`, which is not a type of check ({help})"
            )],
        );
    }
}

#[test]
fn tcp_needs_a_port_and_icmp_has_none() {
    not_valid(
        &changed("      port: 22\n", ""),
        &["12:5 error: health check `shell` has no `port` (a tcp check needs the port to connect to)"],
    );
    let icmp = changed("port: 22\n", "port: 22\n    ping: { type: icmp, port: 7 }\n");
    let (code, found) = findings(&icmp);
    assert_eq!(code, 2);
    assert_eq!(
        found[0],
        "15:25 error: `port` of health check `ping` belongs to no check of type `icmp` (ICMP has no ports: leave it out)"
    );
}

#[test]
fn parameters_fit_the_type() {
    for (of, param, expected) in [
        (
            "tcp",
            "path: /",
            "`path` of `params` of health check `new` does not belong to type `tcp` (leave it out, or set `type` to `http` or `https`)",
        ),
        (
            "tcp",
            "headers: {}",
            "`headers` of `params` of health check `new` does not belong to type `tcp` (leave it out, or set `type` to `http` or `https`)",
        ),
        (
            "http",
            "sni: x",
            "`sni` of `params` of health check `new` does not belong to type `http` (leave it out, or set `type` to `tcp`, `https` or `grpc`)",
        ),
        (
            "http",
            "ssl: true",
            "`ssl` of `params` of health check `new` does not belong to type `http` (set `type: https` for HTTP over TLS)",
        ),
        (
            "https",
            "ssl: true",
            "`ssl` of `params` of health check `new` does not belong to type `https` (leave it out: https is always over TLS)",
        ),
        (
            "icmp",
            "host: x",
            "`host` of `params` of health check `new` does not belong to type `icmp` (leave it out, or set `type` to `http`, `https` or `grpc`)",
        ),
        (
            "tcp",
            "sni: x",
            "`sni` of `params` of health check `new` is set, but this check does not use TLS (add `ssl: true` beside it, or leave it out)",
        ),
        (
            "tcp",
            "insecure-skip-verify: true",
            "`insecure-skip-verify` of `params` of health check `new` is set, but this check does not use TLS (add `ssl: true` beside it, or leave it out)",
        ),
    ] {
        let port = if of == "tcp" { ", port: 1" } else { "" };
        let text = changed(
            "port: 22\n",
            &format!("port: 22\n    new: {{ params: {{ {param} }}, type: {of}{port} }}\n"),
        );
        let (code, mut found) = findings(&text);
        found.retain(|line| !line.contains(" warning: "));
        assert_eq!((code, found), (2, vec![format!("15:22 error: {expected}")]));
    }
}

#[test]
fn two_spellings_of_one_setting_are_refused() {
    let text = changed(
        "port: 22\n",
        "port: 22\n      params: { ssl: true, sni: a, server-name: a, ssl-verify: true, insecure-skip-verify: false }\n",
    );
    let (code, found) = findings(&text);
    assert_eq!(code, 2);
    assert_eq!(
        found[..2],
        [
            "15:36 error: `server-name` of `params` of health check `shell` and `sni` are two names of one setting \
             (keep `sni`)",
            "15:70 error: `insecure-skip-verify` of `params` of health check `shell` and `ssl-verify` are two names \
             of one setting (keep `ssl-verify`)",
        ]
    );
}

#[test]
fn doubtful_files_are_warned_of() {
    let text = changed(
        "port: 22\n",
        "port: 22\n    new: { type: https, params: { ssl-verify: false, ca-file: /ca.pem } }\n",
    );
    let (code, found) = findings(&text);
    assert_eq!(code, 0);
    assert_eq!(
        found[0],
        "15:63 warning: `ca-file` of `params` of health check `new` is set, but certificates are not verified \
         (leave it out, or set `ssl-verify: true`)"
    );
}

/// Parameters of HTTP, at line 11 of the configuration.
#[test]
fn parameters_of_http_can_be_put_into_a_request() {
    let codes = "(write codes from 100 to 599 and ascending ranges of them, like \"200,204,300-399\")";
    let host = "(write a name or an address, like `www.example.org`, `192.0.2.1` or `[2001:db8::1]`, perhaps with `:port`)";
    for (param, column, expected) in [
        ("method: DELETE", 17, "`method` of P is `DELETE`, which no check may use (write `GET`, `HEAD`, `OPTIONS` or `POST`: a check must change nothing on the backend)".to_owned()),
        ("method: get", 17, "`method` of P is `get`, which no check may use (write `GET`, `HEAD`, `OPTIONS` or `POST`: a check must change nothing on the backend)".to_owned()),
        ("path: healthz", 15, "`path` of P is `healthz`, which does not begin with `/` (write the path alone, like `/healthz`; the server's name belongs in `host`)".to_owned()),
        ("path: /a b", 15, "`path` of P is `/a b`, which has ` ` in it (write this character as `%20`)".to_owned()),
        ("path: /ä", 15, "`path` of P is `/ä`, which has `ä` in it (write this character as `%C3%A4`)".to_owned()),
        ("path: '/#top'", 15, "`path` of P is `/#top`, which has `#` in it (leave the fragment out: it is never sent to a server)".to_owned()),
        ("path: \"/a\\r\\nX: y\"", 15, "`path` of P is `/a\\r\\nX: y`, which has U+000D in it (write this character as `%0D`)".to_owned()),
        ("path: /100%", 15, "`path` of P is `/100%`, which has a `%` without two hexadecimal digits (write a percent sign itself as `%25`)".to_owned()),
        ("host: a b", 15, format!("`host` of P is `a b`, which cannot be a Host header {host}")),
        ("host: a:b", 15, format!("`host` of P is `a:b`, which cannot be a Host header {host}")),
        ("host: ''", 15, format!("`host` of P is ``, which cannot be a Host header {host}")),
        ("host: '2001:db8::1'", 15, "`host` of P is `2001:db8::1`, which cannot be a Host header (write an IPv6 address in brackets and without a zone: `[2001:db8::1]`, perhaps with `:port`)".to_owned()),
        ("host: '[fe80::1%eth0]:80'", 15, "`host` of P is `[fe80::1%eth0]:80`, which cannot be a Host header (write an IPv6 address in brackets and without a zone: `[fe80::1]`, perhaps with `:port`)".to_owned()),
        ("response-code: '0200'", 24, format!("`response-code` of P has `0200`, which is not a status code {codes}")),
        ("host: \"a\\r\\nX: y\"", 15, format!("`host` of P is `a\\r\\nX: y`, which cannot be a Host header {host}")),
        ("response-code: 99", 24, format!("`response-code` of P has `99`, which is not a status code {codes}")),
        ("response-code: '200,600'", 24, format!("`response-code` of P has `600` in `200,600`, which is not a status code {codes}")),
        ("response-code: '200,'", 24, format!("`response-code` of P has `` in `200,`, which is not a status code {codes}")),
        ("response-code: 300-200", 24, format!("`response-code` of P has `300-200`, a range that does not ascend {codes}")),
        ("response-code: 2xx", 24, format!("`response-code` of P has `2xx`, which is not a status code {codes}")),
        ("response-code: +200", 24, format!("`response-code` of P has `+200`, which is not a status code {codes}")),
        ("response-regexp: 'a('", 26, "`response-regexp` of P is `a(`, which is not a regular expression: unclosed group (see https://docs.rs/regex/latest/regex/#syntax; single quotes keep backslashes as they are)".to_owned()),
        ("response-regexp: '((a{999}){999}){999}'", 26, "`response-regexp` of P is `((a{999}){999}){999}`, which is not a regular expression: Compiled regex exceeds size limit of 10485760 bytes. (see https://docs.rs/regex/latest/regex/#syntax; single quotes keep backslashes as they are)".to_owned()),
        ("{ method: HEAD, response-regexp: x }", 42, "`response-regexp` of P is set, but an answer to HEAD has no body (set `method: GET`, or leave `response-regexp` out)".to_owned()),
        ("headers: { 'a b': x }", 20, "`headers` of P has `a b`, which cannot be a header's name (a header's name has letters, digits and `-`, like `X-Probe`)".to_owned()),
        ("headers: { host: x }", 20, "`headers` of P has `host`, which the probe sets by itself (set `host` beside `headers`)".to_owned()),
        ("headers: { Transfer-Encoding: chunked }", 20, "`headers` of P has `Transfer-Encoding`, which the probe sets by itself (leave it out)".to_owned()),
        ("headers: { X-A: 1, x-a: 2 }", 28, "`headers` of P has `x-a` twice: case makes no difference (keep one of the two)".to_owned()),
        ("headers: { X-A: \"a\\nb\" }", 25, "header `X-A` of `headers` of P is `a\\nb`, which has U+000A in it (write printable ASCII on one line)".to_owned()),
        ("headers: { X-A: ' a' }", 25, "header `X-A` of `headers` of P is ` a`, which has white space at an end (leave it out: a server would drop it)".to_owned()),
    ] {
        let text = if param.starts_with('{') {
            FINE.replace("params:\n        path: /healthz", &format!("params:\n        {param}"))
        } else {
            changed("path: /healthz", param)
        };
        let expected = format!("11:{column} error: {}", expected.replace(" of P ", " of `params` of health check `web` "));
        not_valid(&text, &[&expected]);
    }
    for param in [
        "host: 192.0.2.1:8080",
        "host: '[2001:db8::1]'",
        "host: '[2001:db8::1]:8080'",
        "host: my_host",
        "path: '/a/b;c=d?e=[f]&g=%2F'",
        "headers:",
    ] {
        accepted(&changed("path: /healthz", param), &[]);
    }
}

#[test]
fn parameters_of_tls_can_be_used() {
    for (param, expected) in [
        (
            "sni: a b",
            "`sni` of P is `a b`, which is not a server's name (write a DNS name without port, like `www.example.org`)",
        ),
        (
            "server-name: a..b",
            "`server-name` of P is `a..b`, which is not a server's name (write a DNS name without port, like `www.example.org`)",
        ),
        (
            "sni: a:443",
            "`sni` of P is `a:443`, which is not a server's name (write a DNS name without port, like `www.example.org`)",
        ),
        (
            "ca-file: ca.pem",
            "`ca-file` of P is `ca.pem`, which is not an absolute path (write the whole path of a PEM file, beginning with `/`)",
        ),
    ] {
        let text =
            changed("port: 22\n", &format!("port: 22\n    new: {{ type: https, params: {{ {param} }} }}\n"));
        let (code, found) = findings(&text);
        let expected = expected.replace(" of P ", " of `params` of health check `new` ");
        assert_eq!(code, 2);
        assert!(found.iter().any(|line| line.ends_with(&format!(" error: {expected}"))), "{found:#?}");
    }
}

#[test]
fn every_type_may_be_used() {
    for (from, to) in [
        ("type: http\n", "type: https\n"),
        ("type: tcp\n      port: 22\n", "type: icmp\n"),
        ("port: 22\n", "port: 22\n      params: { ssl: true }\n"),
    ] {
        accepted(&changed(from, to), &[]);
    }
}
