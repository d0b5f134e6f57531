use std::time::UNIX_EPOCH;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::health::State;

fn record(what: &str) -> Arc<Record> {
    Arc::new(Record::new(UNIX_EPOCH + Duration::from_millis(1_795_957_506_123), Kind::Backend, what))
}

/// The first vector is from `openssl dgst -sha256 -hmac key`.
#[test]
fn signature_covers_time_and_body() {
    let expected = "sha256=ab78a53627d5ccf2e23ff129fa3dccbb49dc5b755f274cbdfd6a39387ce32fe8";
    let found = signature(b"key", 1_795_957_506, "{\"version\":1}");
    assert_eq!(found, expected);
    assert_ne!(found, signature(b"key", 1_795_957_507, "{\"version\":1}"));
    assert_ne!(found, signature(b"kez", 1_795_957_506, "{\"version\":1}"));
    // RFC 4231, test case 2.
    let rfc = maglev_tls::hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(rfc, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[test]
fn body_has_every_field_and_names_what_there_is() {
    let sender = Sender { host: "lb1".to_owned(), run: 0xabc };
    let backend = Record {
        backend: "web1".to_owned(),
        from: Some(State::Up),
        to: Some(State::Down),
        who: "alice".to_owned(),
        ..Record::clone(&record("L4CON \"x\"\n"))
    };
    let delivery = Delivery { sequence: 7, lost: 2, record: Arc::new(backend) };
    assert_eq!(
        sender.body(&delivery),
        r#"{"version":1,"id":"0000000000000abc-7","sequence":7,"lost":2,"host":"lb1","time":"2026-11-29T13:05:06.123Z","kind":"backend","backend":"web1","frontend":null,"from":"up","to":"down","what":"L4CON \"x\"\n","who":"alice","reason":null,"failed":false}"#
    );
    let late = Record { at_ms: u64::MAX, ..Record::clone(&record("")) };
    let body = sender.body(&Delivery { sequence: 1, lost: 0, record: Arc::new(late) });
    assert!(body.contains("9999-12-31T23:59:59.999Z"), "{body}");
}

#[test]
fn only_what_may_pass_is_retried_and_not_forever() {
    let now = crate::tests::moment();
    let after = |attempt, outcome, random| match next(attempt, outcome, now, random) {
        Next::Retry(at) => Some((at - now).as_millis()),
        _ => None,
    };
    for retried in [Outcome::NoAnswer, Outcome::Answered(500), Outcome::Answered(503), Outcome::Answered(429)]
    {
        let pauses: Vec<_> = (1..=9).map(|attempt| after(attempt, retried, 1.0).unwrap()).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000], "{retried:?}");
        assert_eq!(after(3, retried, 0.0), Some(2000));
        for attempt in [MOST_ATTEMPTS, u32::MAX] {
            assert_eq!(next(attempt, retried, now, 0.5), Next::GivenUp);
        }
    }
    for (status, expected) in [
        (200, Next::Delivered),
        (204, Next::Delivered),
        (101, Next::Refused),
        (301, Next::Refused),
        (400, Next::Refused),
        (404, Next::Refused),
        (408, Next::Refused),
    ] {
        assert_eq!(next(1, Outcome::Answered(status), now, 0.5), expected, "{status}");
    }
}

#[test]
fn full_queue_drops_its_oldest_and_the_next_delivery_says_how_many() {
    let mut queue = Queue::default();
    queue.push(record("first"));
    let in_flight = queue.begin().unwrap();
    for number in 0..MOST_WAITING + 3 {
        queue.push(record(&number.to_string()));
    }
    assert_eq!((queue.len(), queue.dropped()), (MOST_WAITING + 1, 3));
    assert_eq!(queue.begin(), Some(in_flight), "the one in flight stays");
    queue.end(true);
    let next = queue.begin().unwrap();
    assert_eq!((next.sequence, next.lost, next.record.what.as_str()), (5, 3, "3"));
    queue.end(false);
    assert_eq!(
        queue.begin().map(|next| (next.sequence, next.lost)),
        Some((6, 4)),
        "one more that was refused"
    );
    queue.end(true);
    assert_eq!(queue.begin().map(|next| (next.sequence, next.lost)), Some((7, 0)));
}

proptest! {
    /// Whatever happens, a receiver can tell from what it gets how many events it did not get.
    #[test]
    fn every_event_is_delivered_or_counted(steps in vec((0..1200_usize, any::<bool>()), 0..20)) {
        let mut queue = Queue::default();
        let (mut pushed, mut accounted) = (0_u64, 0);
        for (more, delivered) in steps {
            for _ in 0..more {
                queue.push(record("x"));
                pushed += 1;
            }
            prop_assert!(queue.len() <= MOST_WAITING + 1);
            if let Some(delivery) = queue.begin() {
                queue.end(delivered);
                if delivered {
                    accounted += delivery.lost + 1;
                    prop_assert_eq!(accounted, delivery.sequence);
                }
            }
        }
        while queue.begin().is_some() {
            queue.end(true);
        }
        prop_assert!(queue.is_empty() && queue.delivered <= pushed);
    }
}
