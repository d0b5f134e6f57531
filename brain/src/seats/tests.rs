use super::*;

fn is_displaced(seat: &Seat) -> bool {
    seat.client.gives_way.is_cancelled()
}

#[test]
fn newcomer_gets_the_seat_of_the_oldest_silent_client() {
    let seats = Seats::new(3);
    let held: Vec<_> = (0..3).map(|_| seats.take()).collect();
    assert!(!held.iter().any(is_displaced));
    held[0].has_asked();
    let fourth = seats.take();
    assert_eq!(held.iter().map(is_displaced).collect::<Vec<_>>(), [false, true, false]);
    held[2].has_asked();
    fourth.has_asked();
    // If all have sent a request, the oldest has had the most time for its answer.
    let _fifth = seats.take();
    assert!(is_displaced(&held[0]) && !is_displaced(&held[2]) && !is_displaced(&fourth));
}

#[test]
fn client_that_leaves_makes_room() {
    let seats = Seats::new(2);
    let (first, second) = (seats.take(), seats.take());
    drop(second);
    let third = seats.take();
    assert!(!is_displaced(&first) && !is_displaced(&third));
    assert_eq!(seats.taken().len(), 2);
}
