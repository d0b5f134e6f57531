use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_socket_ends_the_pause() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let mut retry = Retry { attempts: 10 };
    let start = Instant::now();
    let made = async {
        sleep(Duration::from_secs(1)).await;
        std::fs::write(&socket, "").unwrap();
    };
    tokio::join!(retry.pause(&socket), made);
    assert!(start.elapsed() <= Duration::from_secs(1) + LOOK);
    assert_eq!(retry.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_stays_does_not_end_the_pause() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    std::fs::write(&socket, "").unwrap();
    let mut retry = Retry { attempts: 10 };
    let start = Instant::now();
    retry.pause(&socket).await;
    assert!(start.elapsed() >= LONGEST / 2);
    assert_eq!(retry.attempts, 11);
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_that_lasted_is_tried_again_at_once() {
    let (mut retry, nowhere) = (Retry { attempts: 4 }, Path::new("/nonexistent/api.sock"));
    retry.connected_for(Duration::from_secs(1));
    assert_eq!(retry.attempts, 4);
    retry.connected_for(LONGEST);
    let start = Instant::now();
    retry.pause(nowhere).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}
