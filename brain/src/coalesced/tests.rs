use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::{advance, timeout};

use super::*;

/// A source that counts its requests, and answers each when the test allows it.
struct Source {
    asked: Arc<AtomicUsize>,
    go: Arc<Notify>,
    figures: Coalesced<u32>,
}

impl Source {
    fn answering(answer: Result<u32, CallError>) -> Self {
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, gate) = (Arc::clone(&asked), Arc::clone(&go));
        let figures = Coalesced::from_source(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let (gate, answer) = (Arc::clone(&gate), answer.clone());
            async move {
                gate.notified().await;
                answer
            }
        });
        Self { asked, go, figures }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_askers_are_one_question() {
    let source = Source::answering(Ok(7));
    source.go.notify_one();
    let answers = join_all((0..1000).map(|_| source.figures.get())).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.iter().all(|answer| Arc::ptr_eq(answer.as_ref().unwrap(), &first)));
    assert_eq!(source.asked(), 1);
    advance(SHARED_FOR - Duration::from_millis(1)).await;
    assert!(Arc::ptr_eq(&source.figures.clone().get().await.unwrap(), &first), "the clones share it");
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
    let source = Source::answering(Ok(7));
    assert!(timeout(Duration::from_secs(5), source.figures.get()).await.is_err());
    source.go.notify_one();
    assert!(source.figures.get().await.is_ok());
    assert_eq!(source.asked(), 1, "the question that was given up is the one that was answered");
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_asked_for_again() {
    let source = Source::answering(Ok(7));
    source.go.notify_one();
    let first = source.figures.get().await.unwrap();
    source.figures.forget();
    source.go.notify_one();
    assert!(!Arc::ptr_eq(&first, &source.figures.get().await.unwrap()));
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn answer_that_nobody_waited_for_is_not_served_long_after() {
    let source = Source::answering(Ok(7));
    assert!(timeout(Duration::from_secs(1), source.figures.get()).await.is_err());
    source.go.notify_one();
    // A paused clock advances only when all tasks wait: by then the answer has arrived.
    tokio::time::sleep(SHARED_FOR * 60).await;
    source.go.notify_one();
    let answer = source.figures.get().await.unwrap();
    assert_eq!((source.asked(), answer.at), (2, Instant::now()));
}

#[tokio::test]
async fn source_that_panics_is_an_error() {
    let figures = Coalesced::<u32>::from_source(|| async { panic!("a mistake") });
    let error = figures.get().await.unwrap_err().to_string();
    assert!(error.starts_with("not asked: "), "{error}");
}
