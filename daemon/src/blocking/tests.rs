use std::sync::mpsc;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn each_piece_of_work_has_its_result() {
    let blocking = Blocking::new("adding", 1, LIMIT);
    for number in 0..3 {
        assert_eq!(blocking.run(move || number + 1).await.unwrap(), number + 1);
    }
    let error = blocking.run(|| panic!("as a test")).await.unwrap_err();
    assert_eq!(error.to_string(), "adding failed: it panicked");
    assert_eq!(blocking.run(|| 7).await.unwrap(), 7, "the place of the one that panicked is free");
}

#[tokio::test(start_paused = true)]
async fn work_that_hangs_is_waited_for_no_longer_than_its_limit_and_holds_its_place_until_it_ends() {
    let blocking = Blocking::new("reading", 1, LIMIT);
    let (end, wait) = mpsc::channel::<()>();
    let error = blocking.run(move || wait.recv().is_ok()).await.unwrap_err();
    assert_eq!(error.to_string(), "reading has not ended within 5 s");
    let error = blocking.run(|| ()).await.unwrap_err();
    assert_eq!(error.to_string(), "reading did not start within 5 s: 1 others have not ended");
    drop(end);
    // Of the real clock: the thread ends now.
    while blocking.run(|| ()).await.is_err() {}
}
