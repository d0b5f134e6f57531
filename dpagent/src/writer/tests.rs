use std::time::Duration;

use super::*;

fn candidate(connection: u64, instance: u64) -> Candidate {
    of_process(connection, instance, Some(77))
}

fn of_process(connection: u64, instance: u64, pid: Option<i32>) -> Candidate {
    Candidate { connection, brain: brain(instance), peer: Peer { pid } }
}

fn brain(instance: u64) -> BrainHello {
    BrainHello { protocol: 2, version: "1.2.3".to_owned(), instance }
}

#[tokio::test(start_paused = true)]
async fn the_second_brain_waits_until_the_first_is_gone() {
    let (mut seat, start) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    let (first, second) = (candidate(1, 100), candidate(2, 200));
    assert_eq!(seat.take(&first, start), Ok(true));
    let later = start + Duration::from_secs(9);
    let refused = seat.take(&second, later).unwrap_err();
    assert_eq!(refused, AgentError::AnotherWriter { version: "1.2.3".to_owned(), pid: Some(77), seconds: 9 });
    assert_eq!(seat.take(&first, later), Ok(false));
    // The end of a connection that does not write changes nothing.
    assert!(!seat.leave(2));
    assert_eq!(seat.take(&second, later), Err(refused));
    assert!(seat.leave(1));
    assert_eq!(seat.take(&second, later), Ok(true));
    assert!(matches!(seat.take(&first, later), Err(AgentError::AnotherWriter { seconds: 0, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_brain_takes_the_place_from_its_own_former_connection_and_not_back() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    assert_eq!(seat.take(&candidate(1, 100), now), Ok(true));
    assert_eq!(seat.take(&candidate(2, 100), now), Ok(true));
    assert!(seat.take(&candidate(1, 100), now).is_err());
    assert!(!seat.leave(1));
    assert!(seat.take(&candidate(3, 300), now).is_err());
    assert!(seat.leave(2));
    assert_eq!(seat.take(&candidate(3, 300), now), Ok(true));
}

/// Whoever has come to know the number is not the brain for that.
#[tokio::test(start_paused = true)]
async fn another_process_does_not_take_the_place_by_the_instance() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    assert_eq!(seat.take(&candidate(1, 100), now), Ok(true));
    for pid in [Some(78), None] {
        assert!(seat.take(&of_process(2, 100, pid), now).is_err(), "{pid:?}");
    }
    assert_eq!(seat.take(&of_process(2, 100, Some(77)), now), Ok(true));
}

/// The instance proves who a brain is, so it is in no answer to anybody else, in whatever form.
#[test]
fn the_refusal_does_not_tell_the_instance() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    let instance = 0x1234_5678_9abc_def0;
    assert_eq!(seat.take(&candidate(1, instance), now), Ok(true));
    let refused = seat.take(&candidate(2, 200), now).unwrap_err();
    let told = format!("{refused} {refused:?}");
    for form in [format!("{instance}"), format!("{instance:x}")] {
        assert!(!told.contains(&form), "{told}");
    }
    let said = "another brain writes to VPP: version 1.2.3, process 77, for 0 s; this one may read, and takes over when \
                that one is gone";
    assert_eq!(refused.to_string(), said);
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_the_writer_are_known_by_its_process_or_else_by_its_instance() {
    let now = tokio::time::Instant::now().into_std();
    let known = |writer: Option<i32>, pid: Option<i32>, hello: Option<u64>| {
        let mut seat = WriterSeat::default();
        assert_eq!(seat.take(&of_process(1, 100, writer), now), Ok(true));
        seat.has(Peer { pid }, hello.map(brain).as_ref())
    };
    assert!(known(Some(77), Some(77), None));
    assert!(!known(Some(77), Some(78), Some(100)));
    assert!(!known(Some(77), None, Some(100)));
    assert!(known(None, None, Some(100)));
    assert!(!known(None, None, Some(200)));
    assert!(!known(None, None, None));
    assert!(!WriterSeat::default().has(Peer { pid: Some(77) }, None), "nobody writes");
}
