use super::*;

#[tokio::test(start_paused = true)]
async fn warnings_are_told_once_in_a_while_with_their_number() {
    let paced = Paced::default();
    let mut told = Vec::new();
    for _ in 0..5 {
        paced.warn(|more| told.push(more));
    }
    tokio::time::advance(PERIOD).await;
    paced.warn(|more| told.push(more));
    assert_eq!(told, [0, 4]);
}
