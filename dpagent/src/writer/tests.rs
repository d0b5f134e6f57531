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
    assert_eq!(seat.take(&first, start), Ok(Taken::Free));
    let later = start + Duration::from_secs(9);
    let refused = seat.take(&second, later).unwrap_err();
    assert_eq!(refused, AgentError::AnotherWriter { version: "1.2.3".to_owned(), pid: Some(77), seconds: 9 });
    assert_eq!(seat.take(&first, later), Ok(Taken::Before));
    // The end of a connection that is not the writer's changes nothing.
    assert!(!seat.leave(2));
    assert_eq!(seat.take(&second, later), Err(refused));
    assert!(seat.leave(1));
    assert_eq!(seat.take(&second, later), Ok(Taken::Free));
    assert!(matches!(seat.take(&first, later), Err(AgentError::AnotherWriter { seconds: 0, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_brain_takes_the_place_from_its_own_former_connection_and_not_back() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    assert_eq!(seat.take(&candidate(1, 100), now), Ok(Taken::Free));
    assert_eq!(seat.take(&candidate(2, 100), now), Ok(Taken::Own));
    assert!(seat.take(&candidate(1, 100), now).is_err());
    assert!(!seat.leave(1));
    assert!(seat.take(&candidate(3, 300), now).is_err());
    assert!(seat.leave(2));
    assert_eq!(seat.take(&candidate(3, 300), now), Ok(Taken::Free));
}

/// Knowing the instance number does not make another process the brain.
#[tokio::test(start_paused = true)]
async fn another_process_does_not_take_the_place_by_the_instance() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    assert_eq!(seat.take(&candidate(1, 100), now), Ok(Taken::Free));
    for pid in [Some(78), None] {
        assert!(seat.take(&of_process(2, 100, pid), now).is_err(), "{pid:?}");
    }
    assert_eq!(seat.take(&of_process(2, 100, Some(77)), now), Ok(Taken::Own));
}

/// The instance proves a brain's identity, so no answer to anybody else contains it, in any form.
#[test]
fn the_refusal_does_not_tell_the_instance() {
    let (mut seat, now) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    let instance = 0x1234_5678_9abc_def0;
    assert_eq!(seat.take(&candidate(1, instance), now), Ok(Taken::Free));
    let refused = seat.take(&candidate(2, 200), now).unwrap_err();
    let told = format!("{refused} {refused:?}");
    for form in [format!("{instance}"), format!("{instance:x}")] {
        assert!(!told.contains(&form), "{told}");
    }
    let said = "another brain is the writer: version 1.2.3, process 77, for 0 s; this one may only read, and takes over when that one ends or is silent for 10 s; stop that one if this one should write";
    assert_eq!(refused.to_string(), said);
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_the_writer_are_known_by_its_process_or_else_by_its_instance() {
    let now = tokio::time::Instant::now().into_std();
    let known = |writer: Option<i32>, pid: Option<i32>, hello: Option<u64>| {
        let mut seat = WriterSeat::default();
        assert_eq!(seat.take(&of_process(1, 100, writer), now), Ok(Taken::Free));
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

/// A brain that is frozen, or in a debugger: its connection stays open and silent.
#[tokio::test(start_paused = true)]
async fn brain_that_says_nothing_loses_its_lease_and_learns_it_before_it_writes_again() {
    let (mut seat, start) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    let (first, second) = (candidate(1, 100), of_process(2, 200, Some(78)));
    assert_eq!(seat.take(&first, start), Ok(Taken::Free));
    // Any sign of life keeps the place.
    let at = |seconds| start + Duration::from_secs(seconds);
    for second_of in 0..30 {
        seat.renew(1, at(second_of));
        assert!(seat.take(&second, at(second_of)).is_err(), "{second_of}");
    }
    // Calls of others do not renew it.
    for second_of in 30..39 {
        seat.renew(2, at(second_of));
        assert!(seat.take(&second, at(second_of)).is_err(), "{second_of}");
    }
    assert_eq!(seat.take(&second, at(39)), Ok(Taken::Expired(Peer { pid: Some(77) })));
    seat.renew(1, at(40));
    let refused = seat.take(&first, at(40)).unwrap_err();
    assert!(matches!(refused, AgentError::AnotherWriter { pid: Some(78), seconds: 1, .. }), "{refused:?}");
    // Nor may it return over a new connection.
    assert!(seat.take(&candidate(3, 100), at(41)).is_err());
}

/// While the agent itself is stalled, the writer's calls wait unread in its socket.
#[tokio::test(start_paused = true)]
async fn lease_does_not_run_while_the_agent_is_held_up() {
    let (mut seat, start) = (WriterSeat::default(), tokio::time::Instant::now().into_std());
    assert_eq!(seat.take(&candidate(1, 100), start), Ok(Taken::Free));
    let second = of_process(2, 200, Some(78));
    let woken = start + Duration::from_secs(3600);
    assert!(seat.take(&second, woken).is_err());
    for seconds in 1..10 {
        seat.look(woken + Duration::from_secs(seconds));
    }
    let over = woken + Duration::from_secs(10);
    assert_eq!(seat.take(&second, over), Ok(Taken::Expired(Peer { pid: Some(77) })));
}
