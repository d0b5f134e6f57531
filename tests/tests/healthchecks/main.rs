//! Health checks of real servers by a real brain: Debian's nginx, well and badly configured, up and down.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cases;
mod protocols;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use maglev_tests::hostile::Deaf;
use maglev_tests::nginx::Nginx;
use maglev_tests::stack::Stack;
use maglev_tests::{skipped, wait};
use serde_json::Value;
use tokio::net::TcpStream;

use cases::{Case, Cases, SOURCE, WWW};

const USER_AGENT: &str = concat!("maglev-brain/", env!("CARGO_PKG_VERSION"));

/// Waits until every backend is in this state, and its last probe ended so.
async fn wait_for(
    stack: &Stack,
    what: &str,
    cases: &[&Case],
    expected: impl Fn(&Case) -> (String, String, String),
) {
    let look = || async {
        let backends = stack.backends().await?;
        let mut wrong = String::new();
        for case in cases {
            let backend = &backends[case.name];
            let probe = &backend["last_probe"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let found = (text(&backend["state"]), text(&probe["code"]), text(&probe["detail"]));
            if found != expected(case) {
                writeln!(wrong, "{}: {found:?} instead of {:?}", case.name, expected(case))?;
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{wrong}");
        Ok(Some(()))
    };
    wait::until(what, look).await.map_err(|error| stack.explain(&error)).unwrap();
}

fn as_configured(case: &Case) -> (String, String, String) {
    let state = if case.code.ends_with("OK") { "up" } else { "down" };
    (state.to_owned(), case.code.to_owned(), case.detail.clone())
}

/// What nginx has to say of the probes.
fn assert_requests(cases: &Cases, requests: &[Value]) {
    let of = |name: &str| {
        let address = &cases.get(name).address;
        let found: Vec<_> = requests.iter().filter(|request| request["to"] == **address).collect();
        assert!(!found.is_empty(), "nginx saw no probe of {name}");
        found
    };
    for request in requests {
        assert_eq!(request["requests"], "1", "a connection is used once: {request}");
        assert_ne!(request["resumed"], "r", "no session is resumed: {request}");
        assert_ne!(request["uri"], "/elsewhere", "no redirect is followed");
    }
    // What was TLS, nginx could not read.
    assert!(requests.iter().all(|request| request["uri"] == "" || request["protocol"] == "HTTP/1.1"));
    let connections: BTreeSet<_> = requests.iter().map(|request| request["connection"].as_str()).collect();
    assert_eq!(connections.len(), requests.len());

    let (plain, ok) = (cases.plain_port, cases.get("ok"));
    for (name, key, value) in [
        ("ok", "method", "GET"),
        ("ok", "uri", "/ok"),
        ("ok", "agent", USER_AGENT),
        ("ok", "host", &format!("{}:{plain}", ok.address)),
        ("ok", "from", "127.0.0.1"),
        ("head", "method", "HEAD"),
        ("query", "uri", "/ok?deep=1&x=%20"),
        ("moved", "uri", "/moved"),
        ("source", "from", SOURCE),
        ("guarded", "agent", "curious/1"),
        ("guarded", "host", WWW),
        ("chunked", "coding", "chunked"),
        ("tls", "agent", USER_AGENT),
        ("tls", "sni", WWW),
        ("tls12", "tls", "TLSv1.2"),
        ("tls13", "tls", "TLSv1.3"),
        ("address", "sni", ""),
    ] {
        for request in of(name) {
            assert_eq!(request[key], value, "{key} of {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_judged_as_it_is_up_and_down_and_up_again() {
    let mut stack = Stack::empty().unwrap();
    let Some(nginx) = Nginx::find(&stack).unwrap() else {
        return skipped("checks of nginx, which is not installed");
    };
    let mut cases = Cases::new();
    cases::http_cases(&mut cases, &nginx);
    cases::tls_cases(&mut cases, &nginx);
    let deaf = Deaf::start(SocketAddr::new([127, 81, 1, 1].into(), cases.plain_port)).await.unwrap();
    cases.add(
        "deaf",
        &format!("type: tcp, port: {}, timeout: 300ms", cases.plain_port),
        "L4TOUT",
        "no answer to the connection attempt",
    );
    cases.last().address = deaf.address().unwrap().ip().to_string();

    nginx.configure(&cases.servers).unwrap();
    nginx.start(&mut stack).unwrap();
    let first = cases.get("ok").address.clone();
    wait::until("nginx", || async {
        Ok(Some(TcpStream::connect((first.as_str(), cases.plain_port)).await?))
    })
    .await
    .map_err(|error| stack.explain(&error))
    .unwrap();
    stack.configure(&cases.configuration()).unwrap();
    stack.start_brain().unwrap();

    let all: Vec<_> = cases.list.iter().collect();
    wait_for(&stack, "all checks to find what is there", &all, as_configured).await;
    assert_requests(&cases, &nginx.requests().unwrap());

    let good: Vec<_> = all.iter().copied().filter(|case| case.code.ends_with("OK")).collect();
    assert!(good.len() >= 20, "{} cases pass", good.len());
    Nginx::stop(&mut stack).unwrap();
    let gone = ["down", "L4CON", "connection refused"].map(str::to_owned);
    wait_for(&stack, "all to be down", &good, |_| gone.clone().into()).await;
    nginx.start(&mut stack).unwrap();
    wait_for(&stack, "all to be up again", &all, as_configured).await;

    let backends = stack.backends().await.unwrap();
    for case in &all {
        let transitions = backends[case.name]["transitions"].as_array().unwrap();
        let found: Vec<_> = transitions
            .iter()
            .map(|transition| (transition["from"].as_str().unwrap(), transition["to"].as_str().unwrap()))
            .collect();
        let expected: &[_] = if case.code.ends_with("OK") {
            &[("down", "up"), ("up", "down"), ("unknown", "up")]
        } else {
            &[("unknown", "down")]
        };
        assert_eq!(found, expected, "{}", case.name);
    }
}
