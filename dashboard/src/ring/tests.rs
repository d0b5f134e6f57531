use super::*;

fn numbers(frames: Option<Vec<Arc<Frame>>>) -> Option<Vec<u64>> {
    frames.map(|frames| frames.iter().map(|frame| frame.number).collect())
}

#[test]
fn frames_after_any_that_is_kept_can_be_had_again() {
    let (mut ring, start) = (Ring::default(), Instant::now());
    assert_eq!(numbers(ring.after(0)), Some(vec![]));
    for _ in 0..3 {
        ring.push(start, |number| format!("{number}").into());
    }
    assert_eq!(numbers(ring.after(3)), Some(vec![]));
    assert_eq!(numbers(ring.after(1)), Some(vec![2, 3]));
    assert_eq!(numbers(ring.after(0)), Some(vec![1, 2, 3]));
    assert_eq!(numbers(ring.after(4)), None, "of a future that never was");
}

#[test]
fn what_is_too_old_is_gone() {
    let (mut ring, start) = (Ring::default(), Instant::now());
    ring.push(start, |_| Bytes::new());
    ring.push(start + AGE, |_| Bytes::new());
    assert_eq!(numbers(ring.after(0)), Some(vec![1, 2]));
    ring.push(start + AGE + Duration::from_millis(1), |_| Bytes::new());
    assert_eq!(numbers(ring.after(0)), None);
    assert_eq!(numbers(ring.after(1)), Some(vec![2, 3]));
}

#[test]
fn number_and_bytes_are_bounded() {
    let (mut ring, start) = (Ring::default(), Instant::now());
    for _ in 0..=FRAMES {
        ring.push(start, |_| Bytes::new());
    }
    assert_eq!((ring.after(0).is_none(), ring.after(1).map(|frames| frames.len())), (true, Some(FRAMES)));
    let (mut ring, large) = (Ring::default(), Bytes::from(vec![b'x'; BYTES / 2 + 1]));
    ring.push(start, |_| large.clone());
    ring.push(start, |_| large.clone());
    assert_eq!(numbers(ring.after(1)), Some(vec![2]));
    assert_eq!(numbers(ring.after(0)), None);
}
