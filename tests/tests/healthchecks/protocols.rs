//! Checks of further protocols, of real servers: nginx, unbound, HAProxy, and the brain itself behind nginx.

use std::path::PathBuf;
use std::process::Command;

use maglev_tests::certificates::Identity;

use super::*;

/// A program of this machine. Some are not on the path of those who are not root.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories.map(|directory| directory.join(name)).find(|path| path.exists())
}

/// Runs the brain until all cases have ended as they say.
async fn judge(stack: &mut Stack, cases: &Cases) {
    stack.configure(&cases.configuration()).unwrap();
    stack.start_brain().unwrap();
    let all: Vec<_> = cases.list.iter().collect();
    wait_for(stack, "all checks to find what is there", &all, as_configured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_takes_bodies_and_proxy_headers_and_keeps_connections() {
    let mut stack = Stack::empty().unwrap();
    let Some(nginx) = Nginx::find(&stack).unwrap() else {
        return skipped("further checks of nginx, which is not installed");
    };
    let mut cases = Cases::new();
    let port = cases.plain_port;
    let identity = nginx.identity("own", &Identity::self_signed(&[WWW]).unwrap()).unwrap();
    let brain = stack.brain_socket();
    let proxied = "location / { return 200 \"from $proxy_protocol_addr\"; }";
    let posted = "location / {
        if ($request_method != POST) { return 405; }
        if ($content_type != application/json) { return 415; }
        return 200;
    }";
    let asked = "location / { return 200 fine; }";
    let relayed = format!("location / {{ grpc_pass grpc://unix:{}; }}", brain.display());
    let relayed = relayed.as_str();
    let from = "response-regexp: ^from 127.0.0.1$";
    let json = "headers: { Content-Type: application/json }";
    for (name, listen, location, check, code, detail) in [
        (
            "proxy-1",
            "proxy_protocol",
            proxied,
            format!("type: http, params: {{ send-proxy: v1, {from} }}"),
            "L7OK",
            "HTTP 200",
        ),
        (
            "proxy-2",
            "proxy_protocol",
            proxied,
            format!("type: http, params: {{ send-proxy: v2, {from} }}"),
            "L7OK",
            "HTTP 200",
        ),
        (
            "proxy-tls",
            "ssl proxy_protocol",
            proxied,
            format!("type: https, params: {{ send-proxy: v2, ssl-verify: false, {from} }}"),
            "L7OK",
            "HTTP 200",
        ),
        (
            "post",
            "",
            posted,
            format!("type: http, params: {{ method: POST, body: '{{}}', {json} }}"),
            "L7OK",
            "HTTP 200",
        ),
        ("get", "", posted, "type: http".to_owned(), "L7STS", "HTTP 405"),
        ("kept", "", asked, "type: http, params: { keepalive: true }".to_owned(), "L7OK", "HTTP 200"),
        (
            "kept-tls",
            "ssl",
            asked,
            "type: https, params: { keepalive: true, ssl-verify: false, response-regexp: fine }".to_owned(),
            "L7OK",
            "HTTP 200",
        ),
        ("grpc", "http2", relayed, "type: grpc".to_owned(), "L7OK", "gRPC SERVING"),
        (
            "grpc-tls",
            "ssl http2",
            relayed,
            "type: grpc, params: { ssl: true, ssl-verify: false }".to_owned(),
            "L7OK",
            "gRPC SERVING",
        ),
        (
            "grpc-service",
            "http2",
            relayed,
            "type: grpc, params: { service: no.such.Service }".to_owned(),
            "L7STS",
            "gRPC status 5, NOT_FOUND: \"service%20not%20registered\"",
        ),
        (
            "grpc-alpn",
            "ssl",
            asked,
            "type: grpc, params: { ssl: true, ssl-verify: false }".to_owned(),
            "L6RSP",
            "the server sent an alert: no application protocol",
        ),
        (
            "grpc-http",
            "http2",
            asked,
            "type: grpc".to_owned(),
            "L7RSP",
            "not gRPC, but content-type \"text/html\"",
        ),
    ] {
        cases.add(name, &format!("{check}, port: {port}"), code, detail);
        let address = &cases.last().address;
        let block = format!("server {{ listen {address}:{port} {listen}; {identity} {location} }}");
        writeln!(cases.servers, "{block}").unwrap();
    }
    nginx.configure(&cases.servers).unwrap();
    nginx.start(&mut stack).unwrap();
    judge(&mut stack, &cases).await;

    // Probes go on over the connections that are kept.
    wait::until("ten probes over a connection", || async {
        let requests = nginx.requests()?;
        for name in ["kept", "kept-tls"] {
            let of: Vec<_> =
                requests.iter().filter(|request| request["to"] == *cases.get(name).address).collect();
            let connections: BTreeSet<_> = of.iter().map(|request| request["connection"].as_str()).collect();
            anyhow::ensure!(of.len() >= 3, "{name}: {} requests", of.len());
            assert_eq!(connections.len(), 1, "{of:#?}");
        }
        Ok(Some(()))
    })
    .await
    .map_err(|error| stack.explain(&error))
    .unwrap();
    let posted = nginx.requests().unwrap();
    let posted = posted.iter().find(|request| request["to"] == *cases.get("post").address).unwrap();
    assert_eq!(posted["method"], "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_is_asked_over_udp_and_tcp() {
    let mut stack = Stack::empty().unwrap();
    let Some(unbound) = program("unbound") else {
        return skipped("dns checks of unbound, which is not installed");
    };
    let mut cases = Cases::new();
    let (address, port) = ("127.81.2.1", cases.plain_port);
    let none = r#"DNS NOERROR, no record matches ^192\.0\.2\.9$: "192.0.2.7""#;
    for (name, params, code, detail) in [
        ("data", r"name: www.example.test, answer-regexp: '^192\.0\.2\.7$'", "L7OK", "DNS NOERROR"),
        ("other-data", r"name: www.example.test, answer-regexp: '^192\.0\.2\.9$'", "L7STS", none),
        ("case", r"name: WWW.Example.Test., record-type: A", "L7OK", "DNS NOERROR"),
        (
            "mail",
            "name: example.test, record-type: MX, answer-regexp: '^10 mx.example.test.$'",
            "L7OK",
            "DNS NOERROR",
        ),
        ("no-data", "name: www.example.test, record-type: AAAA", "L7OK", "DNS NOERROR"),
        ("missing", "name: no.example.test", "L7STS", "DNS NXDOMAIN"),
        ("expected-missing", "name: no.example.test, rcode: NXDOMAIN", "L7OK", "DNS NXDOMAIN"),
        ("over-tcp", "name: www.example.test, transport: tcp", "L7OK", "DNS NOERROR"),
        // Too long for a datagram.
        (
            "truncated",
            "name: long.example.test, record-type: TXT, answer-regexp: ^x*z$",
            "L7OK",
            "DNS NOERROR",
        ),
        ("refused", "name: example.org", "L7STS", "DNS REFUSED"),
    ] {
        cases.add(name, &format!("type: dns, port: {port}, params: {{ {params} }}"), code, detail);
        cases.last().address = address.to_owned();
    }
    let directory = stack.directory().join("unbound");
    std::fs::create_dir_all(&directory).unwrap();
    let text: String = (0..4).map(|number| {
        let (long, last) = ("x".repeat(200), if number == 3 { "z" } else { "" });
        format!("local-data: 'long.example.test. TXT \"{number}{long}\"'\nlocal-data: 'long.example.test. TXT \"{long}{last}\"'\n")
    }).collect();
    let configuration = format!(
        "server:\n do-daemonize: no\n username: ''\n chroot: ''\n pidfile: ''\n use-syslog: no\n \
         directory: '{}'\n interface: {address}\n port: {port}\n module-config: 'iterator'\n \
         access-control: 127.0.0.0/8 allow\n local-zone: 'test.' static\n local-zone: '.' refuse\n \
         local-data: 'www.example.test. A 192.0.2.7'\n local-data: 'example.test. MX 10 mx.example.test.'\n{text}\
         remote-control:\n control-enable: no\n",
        directory.display()
    );
    let path = directory.join("unbound.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(unbound);
    command.env_clear().arg("-d").arg("-p").arg("-c").arg(&path);
    stack.spawn("unbound", command).unwrap();
    judge(&mut stack, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_takes_proxy_headers_and_answers_what_is_sent() {
    let mut stack = Stack::empty().unwrap();
    let Some(haproxy) = program("haproxy") else {
        return skipped("checks of HAProxy, which is not installed");
    };
    let mut cases = Cases::new();
    let (address, port) = ("127.81.3.1", cases.plain_port);
    let ends = format!(r"^127\.0\.0\.1 {address}:{port}$");
    for (name, check, code, detail) in [
        (
            "text",
            format!("type: http, params: {{ send-proxy: v1, response-regexp: '{ends}' }}"),
            "L7OK",
            "HTTP 200",
        ),
        (
            "binary",
            format!("type: http, params: {{ send-proxy: v2, response-regexp: '{ends}' }}"),
            "L7OK",
            "HTTP 200",
        ),
        (
            "bytes",
            "type: tcp, params: { send-proxy: v2, send: \"GET / HTTP/1.0\\r\\n\\r\\n\", expect: 200 OK }"
                .to_owned(),
            "L7OK",
            "expected answer",
        ),
    ] {
        cases.add(name, &format!("{check}, port: {port}"), code, detail);
        cases.last().address = address.to_owned();
    }
    let configuration = format!(
        "defaults\n mode http\n timeout client 5s\n timeout http-request 5s\n\
         frontend probes\n bind {address}:{port} accept-proxy\n \
         http-request return status 200 content-type text/plain lf-string \"%[src] %[dst]:%[dst_port]\"\n"
    );
    let path = stack.directory().join("haproxy.cfg");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(haproxy);
    command.env_clear().arg("-db").arg("-f").arg(&path);
    stack.spawn("haproxy", command).unwrap();
    judge(&mut stack, &cases).await;
}
