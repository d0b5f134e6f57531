use std::time::Duration;

use super::*;

fn candidate(connection: u64, instance: u64) -> Candidate {
    let brain = BrainHello { protocol: 2, version: "1.2.3".to_owned(), instance };
    Candidate { connection, brain, pid: Some(77) }
}

#[tokio::test(start_paused = true)]
async fn the_second_brain_waits_until_the_first_is_gone() {
    let (seat, start) = (WriterSeat::default(), Instant::now());
    let (first, second) = (candidate(1, 100), candidate(2, 200));
    assert_eq!(seat.take(&first, start), Ok(()));
    let later = start + Duration::from_secs(9);
    let refused = seat.take(&second, later).unwrap_err();
    assert_eq!(
        refused,
        AgentError::AnotherWriter { version: "1.2.3".to_owned(), instance: 100, pid: Some(77), seconds: 9 }
    );
    assert_eq!(seat.take(&first, later), Ok(()));
    // The end of a connection that does not write changes nothing.
    seat.leave(2);
    assert_eq!(seat.take(&second, later), Err(refused));
    seat.leave(1);
    assert_eq!(seat.take(&second, later), Ok(()));
    assert!(matches!(seat.take(&first, later), Err(AgentError::AnotherWriter { seconds: 0, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_brain_takes_the_place_from_its_own_former_connection_and_not_back() {
    let (seat, now) = (WriterSeat::default(), Instant::now());
    assert_eq!(seat.take(&candidate(1, 100), now), Ok(()));
    assert_eq!(seat.take(&candidate(2, 100), now), Ok(()));
    assert!(seat.take(&candidate(1, 100), now).is_err());
    seat.leave(1);
    assert!(seat.take(&candidate(3, 300), now).is_err());
    seat.leave(2);
    assert_eq!(seat.take(&candidate(3, 300), now), Ok(()));
}
