use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::controller::{self, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a brain without an agent, with an exporter; returns its address.
async fn running() -> (std::net::SocketAddr, Controller, [JoinHandle<()>; 2]) {
    let setup = Setup {
        config: config(BACKENDS, FRONTENDS),
        overrides: Overrides::default(),
        history: None,
        state: None,
        agent_socket: "/nonexistent/agent.sock".into(),
        instance: 1,
    };
    let (controller, task) = controller::start(setup, &Handle::current(), std::future::pending());
    let listener = open("127.0.0.1:0".parse().unwrap(), None).unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(serve(listener, Exporter::new(&controller), std::future::pending()));
    (address, controller, [tokio::spawn(task), served])
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("no end of the answer").unwrap();
    answer
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: brain\r\n\r\n")
}

#[tokio::test]
async fn health_and_readiness_are_told_with_reasons() {
    let (address, _controller, tasks) = running().await;
    let alive = ask(address, &request("GET", "/healthz")).await;
    assert!(alive.starts_with("HTTP/1.1 200 ") && alive.ends_with("ok\n"), "{alive}");
    let ready = ask(address, &request("GET", "/readyz")).await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("the agent is not connected"), "{ready}");
    // The controller.
    tasks[0].abort();
    wait_until_it_has_ended(&tasks[0]).await;
    let dead = ask(address, &request("GET", "/healthz")).await;
    assert!(dead.starts_with("HTTP/1.1 503 ") && dead.contains("does not answer"), "{dead}");
    tasks[1].abort();
}

async fn wait_until_it_has_ended(task: &JoinHandle<()>) {
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn text_is_compressed_for_those_who_accept_it() {
    let (address, _controller, tasks) = running().await;
    for (accepted, is_compressed) in [
        ("gzip", true),
        ("deflate, GZIP;q=0.5", true),
        ("gzip;q=0, identity", false),
        ("gzip; q=0.0", false),
        ("br", false),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /metrics HTTP/1.1\r\nHost: brain\r\nAccept-Encoding: {accepted}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no end of the answer").unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        assert_eq!(head.contains("content-encoding: gzip"), is_compressed, "{accepted}: {head}");
        assert!(head.contains("vary: Accept-Encoding"), "{head}");
        let mut text = String::new();
        match is_compressed {
            true => {
                std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&answer[end..]), &mut text)
            }
            false => std::io::Read::read_to_string(&mut &answer[end..], &mut text),
        }
        .unwrap();
        assert_eq!(series(&text)["maglev_agent_up"], 0.0);
    }
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn each_path_and_method_has_its_answer() {
    let (address, _controller, tasks) = running().await;
    let metrics = ask(address, &request("GET", "/metrics")).await;
    let (head, body) = metrics.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert_eq!(series(body)["maglev_agent_up"], 0.0);
    assert_eq!(series(body)["maglev_backend_state{backend=\"spare\",state=\"up\"}"], 1.0);
    let only_head = ask(address, &request("HEAD", "/metrics")).await;
    assert!(only_head.starts_with("HTTP/1.1 200 OK\r\n") && only_head.ends_with("\r\n\r\n"), "{only_head}");
    let page = ask(address, &request("GET", "/")).await;
    assert!(page.contains("text/html") && page.contains("href=\"/metrics\""), "{page}");
    assert!(ask(address, &request("GET", "/other")).await.starts_with("HTTP/1.1 404 "));
    let posted = ask(address, &request("POST", "/metrics")).await;
    assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD"), "{posted}");
    assert!(ask(address, "no HTTP\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn silent_clients_keep_no_scrape_out_however_many_there_are() {
    let (address, _controller, tasks) = running().await;
    let mut kept = Vec::new();
    for said in ["", "GET /metrics HTTP/1.1\r\nHost: brain\r\n"] {
        for _ in 0..24 {
            let mut silent = TcpStream::connect(address).await.unwrap();
            silent.write_all(said.as_bytes()).await.unwrap();
            kept.push(silent);
        }
        let answer = ask(address, &request("GET", "/metrics")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // The oldest one was replaced.
    let end = timeout(PATIENCE, kept[0].read(&mut [0; 1])).await.expect("it is kept open");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn client_that_ends_its_half_gets_its_answer() {
    let (address, _controller, tasks) = running().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request("GET", "/metrics").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("no end of the answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nmaglev_agent_up 0"), "{answer}");
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_finish_its_head_is_hung_up_on() {
    let (address, _controller, tasks) = running().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let start = tokio::time::Instant::now();
    let end = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("it is kept open");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn it_ends_when_it_shall_and_says_who_holds_its_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = open(MetricsAddress::At(address), None).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--metrics off"), "{error}");
    assert!(open(MetricsAddress::Off, None).unwrap().is_none());

    let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    given.set_nonblocking(true).unwrap();
    let (there, taken) = (given.local_addr().unwrap(), MetricsAddress::At(address));
    let listener = open(taken, Some(given)).unwrap().unwrap();
    assert_eq!(listener.local_addr().unwrap(), there, "what the service manager gives goes before");
    let (_, controller, tasks) = running().await;
    let served = serve(listener, Exporter::new(&controller), std::future::ready(()));
    timeout(PATIENCE, served).await.expect("it does not end");
    tasks.iter().for_each(JoinHandle::abort);
}

#[test]
fn addresses_are_read_as_they_are_written() {
    for text in ["off", "127.0.0.1:9091", "[::1]:9091"] {
        assert_eq!(text.parse::<MetricsAddress>().unwrap().to_string(), text);
    }
    let error = "localhost".parse::<MetricsAddress>().unwrap_err();
    assert!(error.contains("\"localhost\"") && error.contains("ADDRESS:PORT"), "{error}");
}
