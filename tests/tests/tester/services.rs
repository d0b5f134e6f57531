//! Each kind of request, against servers that say their name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use maglev_tests::certificates::{Authority, Identity, NOW};
use maglev_tests::stack::{Stack, free_port};
use maglev_tests::wait;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::program::{EXCEEDED, NOT_TESTED, number, run};

const VIP: Ipv4Addr = Ipv4Addr::new(127, 90, 0, 1);
const SERVERS: [(&str, Ipv4Addr); 2] =
    [("one", Ipv4Addr::new(127, 93, 0, 1)), ("two", Ipv4Addr::new(127, 93, 0, 2))];

/// Two static servers behind a VIP of this protocol; the configuration of a tester beside that of the brain.
async fn stack(protocol: &str, port: u16) -> (Stack, String) {
    let mut stack = Stack::empty().unwrap();
    let backends: String =
        SERVERS.iter().map(|(name, address)| format!("    {name}: {{ address: {address} }}\n")).collect();
    let configuration = format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  backends:
{backends}  frontends:
    www: {{ address: {VIP}, protocol: {protocol}, port: {port}, pools: [ {{ name: p, backends: {{ one: {{}}, two: {{}} }} }} ] }}
"
    );
    stack.configure(&configuration).unwrap();
    stack.start_vppsim().unwrap();
    stack.start_agent().unwrap();
    stack.start_brain().unwrap();
    stack.wait_serving(&["one", "two"]).await.unwrap();
    let config = stack.config().display().to_string();
    (stack, config)
}

fn tls(identity: &Identity) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers one request a connection, with a name and that of the load balancer.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, name: &str) {
    let mut asked = [0; 4096];
    if stream.read(&mut asked).await.is_ok_and(|length| length > 0) {
        let head = format!("HTTP/1.1 200 OK\r\nX-Server: {name}\r\nX-LB: lb1\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok();
        stream.flush().await.ok();
        // Until the client has it, and closes.
        while stream.read(&mut asked).await.is_ok_and(|length| length > 0) {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_verified_unless_it_is_not_to_be_and_headers_name_who_answers() {
    let port = free_port().unwrap();
    let acceptor = tls(&Authority::root("tester").unwrap().issue(&["shop.example"], NOW).unwrap());
    let mut serving = JoinSet::new();
    for (name, address) in SERVERS {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let acceptor = acceptor.clone();
        serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, name).await;
                    }
                });
            }
        });
    }
    let (stack, _) = stack("tcp", port).await;
    let server = format!("unix:{}", stack.brain_socket().display());
    let vip = format!("https://{VIP}:{port}/health");
    let words =
        [&vip, "--server", &server, "--interval", "20ms", "--report", "4s", "--json", "--header", "x-server"];
    let (code, out, errors) =
        run(&[&words[..], &["--insecure", "--balancer-header", "x-lb", "--max-fail", "0"]].concat()).await;
    assert_eq!(code, 0, "{out}{errors}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let found = &summary["vips"][0];
    assert_eq!((&found["request"], &found["failed"]), (&"https".into(), &0.into()));
    assert_eq!(number(&found["balancers"]["lb1"]), number(&found["sent"]), "{found}");
    for row in found["servers"].as_array().unwrap() {
        assert!(number(&row["answers"]) > 0 && row["expected"] == 0.5, "{found}");
    }
    let (code, out, _) = run(&[&words[..], &["--max-fail", "0"]].concat()).await;
    assert_eq!(code, EXCEEDED);
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let found = &summary["vips"][0];
    assert_eq!(number(&found["failures"]["tls"]), number(&found["sent"]), "nobody vouches for it: {found}");
}

/// Half of the table belongs to a static server that does not run.
#[tokio::test(flavor = "multi_thread")]
async fn sweep_finds_a_server_that_is_dead() {
    let port = free_port().unwrap();
    let listener = TcpListener::bind((SERVERS[0].1, port)).await.unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, SERVERS[0].0));
        }
    });
    let (stack, _) = stack("tcp", port).await;
    let server = format!("unix:{}", stack.brain_socket().display());
    let vip = format!("http://{VIP}:{port}");
    let (code, out, errors) = run(&[&vip, "--server", &server, "--sweep", "--json", "--max-fail", "0"]).await;
    assert_eq!(code, EXCEEDED, "{out}{errors}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let swept = &summary["sweeps"][0]["sweep"];
    assert_eq!(swept["servers"].as_object().unwrap().len(), 2, "{swept}");
    let (probed, failed) = (number(&swept["probed"]), number(&swept["failed"]));
    assert!(probed > 1000 && (probed / 3..probed * 2 / 3).contains(&failed), "{swept}");
    assert!(swept["failures"][0].as_str().unwrap().starts_with("bucket "), "{swept}");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_is_asked_where_a_reply_is_expected() {
    let port = free_port().unwrap();
    let mut serving = JoinSet::new();
    for (name, address) in SERVERS {
        let socket = UdpSocket::bind((address, port)).await.unwrap();
        serving.spawn(async move {
            let mut asked = [0; 64];
            loop {
                let (length, peer) = socket.recv_from(&mut asked).await.unwrap();
                if &asked[..length] == b"who" {
                    socket.send_to(format!("{name}\nmore").as_bytes(), peer).await.unwrap();
                }
            }
        });
    }
    let (_stack, config) = stack("udp", port).await;
    let (code, out, errors) = run(&["--config", &config, "--report", "1s"]).await;
    assert_eq!((code, out.as_str()), (NOT_TESTED, ""));
    assert!(errors.contains("not tested: www: UDP takes --udp-payload"), "{errors}");
    let words = [
        "--config",
        &config,
        "--udp-payload",
        "who",
        "--report",
        "3s",
        "--interval",
        "20ms",
        "--max-fail",
        "0",
    ];
    let (code, out, errors) =
        run(&[&words[..], &["--json", "--flows", "4", "--max-lost-flows", "0"]].concat()).await;
    assert_eq!(code, 0, "{out}{errors}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let found = &summary["vips"][0];
    let names: Vec<_> =
        found["servers"].as_array().unwrap().iter().map(|row| row["server"].as_str().unwrap()).collect();
    assert_eq!((names, &found["flows"]["open"]), (vec!["one", "two"], &4.into()));
    // Nobody replies to something else.
    let (_, out, _) =
        run(&["--config", &config, "--udp-payload", "x", "--report", "1s", "--timeout", "200ms"]).await;
    assert!(out.contains("www, failures: timeout "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_flows_carry_a_byte_each_way_and_source_addresses_are_used() {
    let port = free_port().unwrap();
    let mut serving = JoinSet::new();
    for (name, address) in SERVERS {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut byte, mut greeting) = ([0; 1], Some(format!("{name}\n")));
                    while stream.read_exact(&mut byte).await.is_ok() {
                        let text = greeting.take().unwrap_or_else(|| "\n".to_owned());
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
    let (_stack, config) = stack("tcp", port).await;
    let source = IpAddr::from([127, 0, 0, 77]).to_string();
    let words = ["--config", &config, "--flows", "10", "--source", &source, "--report", "5s", "--json"];
    let (code, out, errors) =
        run(&[&words[..], &["--max-fail", "0", "--max-lost-flows", "0"]].concat()).await;
    assert_eq!(code, 0, "{out}{errors}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let flows = &summary["vips"][0]["flows"];
    let on = |name: &str| flows["servers"][name].as_u64().unwrap_or(0);
    assert_eq!(on("one") + on("two"), 10, "{flows}");
    assert!(number(&flows["exchanged"]) >= 30, "{flows}");
    let (_, out, _) = run(&["--config", &config, "--source", "192.0.2.77", "--report", "1s"]).await;
    assert!(out.contains("cannot probe from 192.0.2.77"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_serves_metrics_until_it_is_stopped() {
    let stack = Stack::start_with(None).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let server = format!("unix:{}", stack.brain_socket().display());
    let mut test =
        crate::program::Maglevt::start(&["--server", &server, "--prometheus", &address.to_string()]);
    test.until("an answer", |vip| vip["state"] == "up").await;
    let text = wait::until("the answers in a scrape", || async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let text = client.get(format!("http://{address}/metrics")).send().await?.text().await?;
        Ok(text.contains("maglevt_answers_total{vip=\"www\"").then_some(text))
    })
    .await
    .unwrap();
    assert!(text.contains(&format!("maglevt_up{{vip=\"www\",address=\"{}\"}} 1", stack.vip())), "{text}");
    assert_eq!(test.stop().await.0, 0);
    let taken = TcpListener::bind(address).await.unwrap();
    let (code, _, errors) =
        run(&["--server", &server, "--prometheus", &address.to_string(), "--report", "1s"]).await;
    assert_eq!(code, NOT_TESTED);
    assert!(errors.contains("cannot serve Prometheus on"), "{errors}");
    drop(taken);
}
