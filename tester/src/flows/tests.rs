use tokio::net::TcpListener;

use super::*;
use crate::target::from_text;

fn shape() -> Shape {
    Shape { timeout: Duration::from_secs(2), udp_payload: Some(b"who".to_vec()), ..Shape::default() }
}

#[test]
fn book_counts_what_happens_to_flows_that_were_open() {
    let now = tokio::time::Instant::now().into_std();
    let mut book = FlowBook::default();
    book.lost(1, Fate::Broke, "connection refused", now);
    assert_eq!(book.count(Fate::Broke), 0, "it was never open");
    book.answered(1, "web1", now);
    book.answered(2, "web2\x07", now);
    book.lost(1, Fate::Broke, "reset", now);
    book.lost(1, Fate::Broke, "connection refused", now);
    assert_eq!((book.open(), book.count(Fate::Broke), book.count(Fate::Moved)), (1, 1, 0));
    book.answered(1, "web1", now);
    assert_eq!(book.count(Fate::Moved), 0, "it is back where it was");
    book.answered(1, "web3", now);
    book.lost(2, Fate::Stalled, "no answer", now);
    assert_eq!(book.by_server(), BTreeMap::from([("web3", 1)]));
    let events: Vec<_> =
        book.events().map(|event| format!("{} {} {}", event.flow, event.fate.word(), event.words)).collect();
    assert_eq!(events, ["1 broke web1: reset", "1 moved web1 -> web3", "2 stalled web2\\u{7}: no answer"]);
    book.reset();
    assert_eq!((book.open(), book.exchanged(), book.count(Fate::Moved), book.events().count()), (1, 0, 0, 0));
}

#[tokio::test]
async fn plain_flow_keeps_its_port_and_is_found_on_another_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = from_text(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let mut held = Held::new(&target, &shape(), &Naming::default());
    let server = async {
        let mut ports = Vec::new();
        for name in ["web1\n", "web2\n"] {
            let (mut stream, peer) = listener.accept().await.unwrap();
            ports.push(peer.port());
            stream.write_all(name.as_bytes()).await.unwrap();
            let mut byte = [0; 1];
            for _ in 0..3 {
                stream.read_exact(&mut byte).await.unwrap();
                stream.write_all(&byte).await.unwrap();
            }
            // Closing with a byte unread would do as well.
            socket2_reset(&stream);
        }
        ports
    };
    let client = async {
        for server in ["web1", "web2"] {
            for _ in 0..3 {
                assert_eq!(held.use_once().await, Ok(server.to_owned()));
            }
            if server == "web1" {
                let (fate, words) = held.use_once().await.unwrap_err();
                assert_eq!(fate, Fate::Broke, "{words}");
            }
        }
    };
    let (ports, ()) = tokio::join!(server, client);
    assert_eq!(ports[0], ports[1]);
}

/// Has the connection reset when it is dropped.
fn socket2_reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test(start_paused = true)]
async fn flow_without_an_answer_stalls_and_udp_flows_move_without_breaking() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = from_text(&format!("udp://{}", server.local_addr().unwrap())).unwrap();
    let mut held = Held::new(&target, &shape(), &Naming::default());
    let answers = async {
        let (mut asked, mut peers) = ([0; 16], Vec::new());
        for name in ["web1", "", "web2"] {
            let (length, peer) = server.recv_from(&mut asked).await.unwrap();
            assert_eq!(&asked[..length], b"who");
            peers.push(peer);
            if !name.is_empty() {
                server.send_to(name.as_bytes(), peer).await.unwrap();
            }
        }
        peers
    };
    let uses = async { [held.use_once().await, held.use_once().await, held.use_once().await] };
    let (peers, uses) = tokio::join!(answers, uses);
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
    assert_eq!((&uses[0], &uses[2]), (&Ok("web1".to_owned()), &Ok("web2".to_owned())));
    assert_eq!(uses[1].as_ref().unwrap_err().0, Fate::Stalled);
}
