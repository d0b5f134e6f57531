use tokio::sync::oneshot::error::TryRecvError;

use super::*;

#[test]
fn oldest_handshake_gives_way() {
    let mut handshakes = Handshakes::default();
    let mut places: Vec<_> = (0..MOST_HANDSHAKES).map(|_| handshakes.begin()).collect();
    let stays = |place: &mut Place| matches!(place.try_recv(), Err(TryRecvError::Empty));
    assert!(places.iter_mut().all(stays));
    let mut newest = handshakes.begin();
    assert!(!stays(&mut places[0]));
    assert!(places.iter_mut().skip(1).all(stays));
    // One that is over leaves its place to the next.
    drop(places.remove(50));
    let _next = handshakes.begin();
    assert!(stays(&mut newest) && places.iter_mut().skip(1).all(stays));
    assert_eq!(handshakes.0.len(), MOST_HANDSHAKES);
}
