use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::{advance, timeout};

use super::*;

fn counters(servers: Vec<ServerFigure>) -> Counters {
    let servers = Some(ServerFigures { age: Duration::from_millis(700), servers });
    Counters { age: Duration::from_millis(200), vips: vec![], servers }
}

/// A source that counts its questions, and answers each when it is let.
struct Source {
    asked: Arc<AtomicUsize>,
    go: Arc<Notify>,
    figures: Figures,
}

impl Source {
    fn answering(answer: Result<Counters, CallError>) -> Self {
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, gate) = (Arc::clone(&asked), Arc::clone(&go));
        let figures = Figures::from_source(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let (gate, answer) = (Arc::clone(&gate), answer.clone());
            async move {
                gate.notified().await;
                answer
            }
            .boxed()
        });
        Self { asked, go, figures }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_askers_are_one_question() {
    let source = Source::answering(Ok(counters(vec![])));
    source.go.notify_one();
    let answers = join_all((0..1000).map(|_| source.figures.get())).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.iter().all(|answer| Arc::ptr_eq(answer.as_ref().unwrap(), &first)));
    assert_eq!(source.asked(), 1);
    advance(SHARED_FOR - Duration::from_millis(1)).await;
    assert!(Arc::ptr_eq(&source.figures.clone().get().await.unwrap(), &first), "the clones share it");
    let now = Instant::now();
    assert_eq!(first.vips_age(now), Duration::from_millis(1199));
    assert_eq!(first.servers_age(now), Some(Duration::from_millis(1699)));
    advance(Duration::from_millis(1)).await;
    source.go.notify_one();
    assert!(!Arc::ptr_eq(&source.figures.get().await.unwrap(), &first));
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_shared_as_well() {
    let source = Source::answering(Err(CallError::Timeout));
    source.go.notify_one();
    assert_eq!(source.figures.get().await, Err(CallError::Timeout));
    assert_eq!(source.figures.get().await, Err(CallError::Timeout));
    assert_eq!(source.asked(), 1);
    advance(SHARED_FOR).await;
    source.go.notify_one();
    assert_eq!(source.figures.get().await, Err(CallError::Timeout));
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_takes_the_answer_from_nobody() {
    let source = Source::answering(Ok(counters(vec![])));
    assert!(timeout(Duration::from_secs(5), source.figures.get()).await.is_err());
    source.go.notify_one();
    assert!(source.figures.get().await.is_ok());
    assert_eq!(source.asked(), 1, "the question that was given up is the one that was answered");
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_asked_for_again() {
    let source = Source::answering(Ok(counters(vec![])));
    source.go.notify_one();
    let first = source.figures.get().await.unwrap();
    source.figures.forget();
    source.go.notify_one();
    assert!(!Arc::ptr_eq(&first, &source.figures.get().await.unwrap()));
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn source_that_panics_is_an_error() {
    let figures = Figures::from_source(|| async { panic!("a mistake") }.boxed());
    let error = figures.get().await.unwrap_err().to_string();
    assert!(error.starts_with("not asked: "), "{error}");
}

#[test]
fn servers_are_found_by_vip_and_address() {
    let vip = |last| VipKey::port([203, 0, 113, last].into(), 6, 80);
    let server = |vip, last: u8| {
        let buckets = u32::from(last);
        ServerFigure { vip, address: [10, 0, 0, last].into(), weight: 1, buckets, flows: 0 }
    };
    let servers = vec![server(vip(1), 1), server(vip(1), 2), server(vip(2), 1)];
    let timed = Timed { value: counters(servers), at: Instant::now() };
    let buckets = |vip, last: u8| timed.server(&vip, [10, 0, 0, last].into()).map(|server| server.buckets);
    assert_eq!(buckets(vip(1), 2), Some(2));
    assert_eq!(buckets(vip(2), 1), Some(1));
    assert_eq!(buckets(vip(2), 2), None);
    let none = Timed { value: Counters { servers: None, ..timed.value.clone() }, at: timed.at };
    assert_eq!((none.server(&vip(1), [10, 0, 0, 1].into()), none.servers_age(none.at)), (None, None));
}
