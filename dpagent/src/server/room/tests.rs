use super::*;

fn refused(kib: &str, most: usize) -> AgentError {
    AgentError::TooMany { what: format!("KiB of {kib}"), most: most as u64 }
}

#[test]
fn answers_take_up_room_until_they_are_gone() {
    let (own, share) = (Room::of_a_connection(), Share::new(1));
    let answer = vec![7_u8; 1 << 20];
    let held: Vec<_> = (0..15).map(|_| Held::default()).collect();
    for held in &held {
        // One byte more than a MiB, with its length.
        assert!(held.hold(answer.clone(), &own, &share).is_ok());
    }
    let more = Held::default();
    let unread = refused("unread answers on a connection", MOST_UNREAD);
    assert_eq!(more.hold(answer.clone(), &own, &share), Err(unread));
    assert!(more.hold(vec![7_u8; 100], &own, &share).is_ok(), "there is room for less");
    drop(held);
    assert!(more.hold(answer, &own, &share).is_ok());
}

#[test]
fn all_connections_together_have_a_bound_of_their_own() {
    let share = Share::new(1);
    let rooms: Vec<_> = (0..3).map(|_| Room::of_a_connection()).collect();
    let held: Vec<_> = rooms.iter().map(|_| Held::default()).collect();
    let long = vec![7_u8; MAX_FRAME - 100];
    assert!(held[0].hold(long.clone(), &rooms[0], &share).is_ok());
    assert!(held[1].hold(long.clone(), &rooms[1], &share).is_ok());
    let unread = refused("unread answers on all connections", MOST_UNREAD_TOGETHER);
    assert_eq!(held[2].hold(long.clone(), &rooms[2], &share), Err(unread));
    // A refused answer has reserved nothing.
    assert_eq!(rooms[2].free.available_permits(), MOST_UNREAD);
    drop(held);
    assert!(Held::default().hold(long, &rooms[2], &share).is_ok());
}

#[test]
fn an_answer_too_long_for_a_frame_is_refused() {
    let (own, share) = (Room::of_a_connection(), Share::new(1));
    for length in [MAX_FRAME, MAX_FRAME + 1] {
        let refused = Held::default().hold(vec![0_u8; length], &own, &share);
        assert!(matches!(refused, Err(AgentError::TooMany { .. })), "{length}");
    }
}
