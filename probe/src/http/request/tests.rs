use super::*;
use crate::tests::get;

fn written(target: &str, tls: bool, check: &HttpCheck) -> String {
    let mut out = Vec::new();
    put(&mut out, target.parse().unwrap(), tls, false, check);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_whole_request_is_as_configured() {
    let mut check = get(None);
    assert_eq!(
        written("192.0.2.1:8080", false, &check),
        format!(
            "GET / HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nConnection: close\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
        )
    );
    check.method = HttpMethod::Head;
    check.path = "/healthz?full=1".into();
    check.host = Some("www.example.org".into());
    check.headers = vec![("X-Probe".into(), "1".into()), ("user-AGENT".into(), "mine".into())];
    assert_eq!(
        written("192.0.2.1:8080", false, &check),
        "HEAD /healthz?full=1 HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\
         X-Probe: 1\r\nuser-AGENT: mine\r\n\r\n"
    );
}

#[test]
fn only_the_schemes_own_port_is_left_out_of_the_host() {
    for (target, tls, host) in [
        ("192.0.2.1:80", false, "192.0.2.1"),
        ("192.0.2.1:80", true, "192.0.2.1:80"),
        ("192.0.2.1:443", true, "192.0.2.1"),
        ("192.0.2.1:443", false, "192.0.2.1:443"),
        ("[2001:db8::1]:80", false, "[2001:db8::1]"),
        ("[2001:db8::1]:443", true, "[2001:db8::1]"),
        ("[2001:db8::1]:8443", true, "[2001:db8::1]:8443"),
    ] {
        let request = written(target, tls, &get(None));
        let hosts: Vec<_> = request.lines().filter_map(|line| line.strip_prefix("Host: ")).collect();
        assert_eq!(hosts, [host], "{target}, tls {tls}");
    }
}

#[test]
fn what_stands_in_the_buffer_stays() {
    let mut out = b"before".to_vec();
    put(&mut out, ([192, 0, 2, 1], 80).into(), false, false, &get(None));
    assert!(out.starts_with(b"beforeGET / HTTP/1.1\r\n"));
}
