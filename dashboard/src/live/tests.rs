use std::pin::pin;

use futures::{FutureExt, Stream, StreamExt};

use super::*;
use crate::documents::{Document, Table};
use crate::rows::object;

fn live() -> Arc<Live> {
    Arc::new(Live::new(0xab, CancellationToken::new()))
}

fn say_soon(live: &Live, number: u64) {
    live.change(|state| state.documents.put(Table::Fleet, "shop", Some(object(json!({ "rank": number })))));
}

fn say(live: &Live, number: u64) {
    say_soon(live, number);
    live.publish_frame(number, Instant::now());
}

/// What is ready of a stream, as one text.
fn ready(stream: &mut (impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Unpin)) -> String {
    let mut text = String::new();
    while let Some(Some(Ok(bytes))) = stream.next().now_or_never() {
        text += std::str::from_utf8(&bytes).unwrap();
    }
    text
}

fn since(id: &str) -> Wanted {
    Wanted { since: Some(id.to_owned()), frontends: vec![] }
}

#[tokio::test]
async fn a_browser_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let live = live();
    (1..=3).for_each(|number| say(&live, number));
    let mut stream = pin!(watch(&live, since("ab-1")));
    let text = ready(&mut stream);
    assert!(text.starts_with("retry: 1000\n\nid: ab-2\nevent: patch\ndata: {"), "{text}");
    assert!(
        text.contains("id: ab-3\n") && !text.contains("id: ab-1\n") && !text.contains("resync"),
        "{text}"
    );
    say(&live, 4);
    assert!(ready(&mut stream).starts_with("id: ab-4\n"));
    assert_eq!(live.metrics.viewers.get(), 1);
}

#[tokio::test]
async fn who_comes_from_another_process_or_too_late_begins_again() {
    let live = live();
    say(&live, 1);
    for unknown in ["ac-1", "ab-9", "x", "", "ab-"] {
        let mut stream = pin!(watch(&live, since(unknown)));
        assert_eq!(ready(&mut stream), "retry: 1000\n\nevent: resync\ndata: {}\n\n", "{unknown}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_not_waited_for_and_begins_again() {
    let live = live();
    say(&live, 1);
    let mut stream = pin!(watch(&live, since("ab-1")));
    (2..=2 * WAITING as u64).for_each(|number| say(&live, number));
    let text = ready(&mut stream);
    assert!(text.contains("event: resync"), "{text}");
    assert!(text.matches("id: ").count() <= WAITING, "{text}");
    assert_eq!(live.metrics.resyncs.get(), 1);
}

#[tokio::test]
async fn the_whole_state_and_the_frames_after_it_leave_no_gap() {
    let live = live();
    say(&live, 1);
    // Not published yet: the copy has it, and says so.
    live.change(|state| state.documents.put(Table::Fleet, "mail", Some(Document::new())));
    let snapshot = live.snapshot().await;
    let state: serde_json::Value = serde_json::from_slice(&snapshot.plain).unwrap();
    assert_eq!((&state["id"], &state["tables"]["fleet"]["shop"]["rank"]), (&"ab-2".into(), &1.into()));
    assert!(state["tables"]["fleet"]["mail"].is_object());
    let mut gunzip = flate2::read::GzDecoder::new(&snapshot.gzip[..]);
    let mut unzipped = Vec::new();
    std::io::Read::read_to_end(&mut gunzip, &mut unzipped).unwrap();
    assert_eq!(unzipped, snapshot.plain);
    say(&live, 3);
    assert_eq!(live.snapshot().await.plain, snapshot.plain, "it may be some seconds old");
    let mut stream = pin!(watch(&live, since("ab-2")));
    assert!(ready(&mut stream).contains("id: ab-3\n"));
}

#[tokio::test]
async fn only_who_looks_at_a_frontend_gets_its_beats() {
    use maglev_proto::{Frontend, Pool, PoolBackend};
    let live = live();
    let row = PoolBackend { backend: "web1".into(), ..PoolBackend::default() };
    let pools = vec![Pool { name: "p".into(), backends: vec![row], ..Pool::default() }];
    let shop = Frontend { name: "shop".into(), pools, ..Frontend::default() };
    live.change(|state| state.set_frontend("lb1", shop, &crate::state::Need::default()));
    live.publish_frame(1, Instant::now());
    let looking = |names: &[&str]| Wanted {
        since: Some("ab-1".into()),
        frontends: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut other = pin!(watch(&live, looking(&[])));
    {
        let mut looker = pin!(watch(&live, looking(&["shop"])));
        assert_eq!(live.looked_at(), ["shop".to_owned()].into());
        live.beat(Beat { server: "lb1".into(), backend: "web1".into(), ended: None });
        live.publish_beats();
        assert!(ready(&mut looker).ends_with("event: beats\ndata: [[\"lb1\",\"web1\",null]]\n\n"));
        assert_eq!(ready(&mut other), "retry: 1000\n\n");
    }
    assert!(live.looked_at().is_empty(), "nobody looks any more");
}

#[tokio::test(start_paused = true)]
async fn at_most_four_frames_a_second_and_a_ping_now_and_then() {
    let live = live();
    let publishing = tokio::spawn({
        let live = Arc::clone(&live);
        async move { live.publish().await }
    });
    let mut stream = pin!(watch(&live, since("ab-0")));
    for number in 0..100_u64 {
        say_soon(&live, number);
        sleep(Duration::from_millis(20)).await;
    }
    let text = ready(&mut stream);
    let frames = text.matches("event: patch").count();
    assert!((7..=9).contains(&frames), "{frames} frames in 2 s");
    sleep(Duration::from_secs(16)).await;
    assert!(ready(&mut stream).contains(": ping\n"));
    publishing.abort();
}

#[tokio::test(start_paused = true)]
async fn probes_do_not_hold_back_what_changes() {
    let live = live();
    let publishing = tokio::spawn({
        let live = Arc::clone(&live);
        async move { live.publish().await }
    });
    let mut stream = pin!(watch(&live, since("ab-0")));
    for number in 0..50_u64 {
        let row = object(json!({ "code": number }));
        live.detail(|state| state.documents.put(Table::Backends, "web1", Some(row)));
        live.beat(Beat { server: "lb1".into(), backend: "web1".into(), ended: None });
        sleep(Duration::from_millis(4)).await;
    }
    assert!(!ready(&mut stream).contains("event: patch"), "it waits for a change to go with");
    live.change(|state| state.documents.put(Table::Fleet, "shop", Some(Document::new())));
    sleep(GATHER + Duration::from_millis(1)).await;
    assert!(ready(&mut stream).contains("\"shop\""));
    live.detail(|state| state.documents.put(Table::Backends, "web1", None));
    sleep(2 * PACE).await;
    assert!(ready(&mut stream).contains("{\"backends\":{\"web1\":null}}"), "it does not wait for ever");
    publishing.abort();
}

#[tokio::test]
async fn streams_end_when_the_process_does() {
    let ending = CancellationToken::new();
    let live = Arc::new(Live::new(1, ending.clone()));
    let stream = watch(&live, Wanted::default());
    ending.cancel();
    let rest: Vec<_> = stream.collect().await;
    assert_eq!(rest.len(), 2, "what was ready, and the end");
}
