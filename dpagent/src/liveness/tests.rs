use super::*;

#[tokio::test(start_paused = true)]
async fn each_silence_is_two_changes_however_often_it_is_noted() {
    let (start, mut silence) = (Instant::now(), Silence::default());
    assert!(!silence.change(None));
    assert_eq!(silence.liveness(start), Liveness::default());
    tokio::time::advance(Duration::from_millis(250)).await;
    assert!(silence.change(Some(start)) && !silence.change(Some(Instant::now())));
    let told = Liveness { generation: 1, silent_for: Some(Duration::from_millis(250)) };
    assert_eq!(silence.liveness(Instant::now()), told);
    assert!(silence.change(None) && !silence.change(None));
    assert_eq!((silence.generation(), silence.liveness(Instant::now()).silent_for), (2, None));
}
