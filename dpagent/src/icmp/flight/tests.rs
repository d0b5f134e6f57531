use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::packet::write_request;
use super::*;

const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const SIZE: u16 = 32;
const MOST: usize = 4;

fn request(target: IpAddr) -> EchoRequest {
    EchoRequest { target, source: None, timeout: Duration::from_secs(1), size: SIZE }
}

fn id(number: u8) -> EchoId {
    EchoId { identifier: 7, sequence: number.into() }
}

/// A request with this id, sent at `now`, that times out a second later.
fn sent(flight: &mut Flight<u8>, number: u8, now: Instant) -> Ticket {
    let draw = || Ok::<_, Infallible>((id(number), [number; 16]));
    let ticket = flight.insert(request(TARGET), now + Duration::from_secs(1), number, draw).unwrap();
    flight.sent(&ticket, now);
    ticket
}

fn payload(token: &Token) -> Vec<u8> {
    let mut packet = Vec::new();
    write_request(&TARGET, id(0), token, SIZE, &mut packet);
    packet.split_off(8)
}

fn reply<'a>(ticket: &Ticket, payload: &'a [u8]) -> Message<'a> {
    Message::Reply(Echo { id: ticket.id, payload })
}

fn error<'a>(ticket: &Ticket, target: IpAddr, payload: &'a [u8]) -> Message<'a> {
    Message::Error { kind: 3, code: 1, target, quoted: Echo { id: ticket.id, payload } }
}

fn count(ignored: Ignored) -> [u64; 4] {
    [ignored.malformed, ignored.unknown, ignored.mismatched, ignored.unproven]
}

#[tokio::test(start_paused = true)]
async fn a_reply_ends_its_request_once() {
    let (mut flight, start) = (Flight::new(MOST), Instant::now());
    let (first, second) = (sent(&mut flight, 1, start), sent(&mut flight, 2, start));
    let round_trip = Duration::from_millis(3);
    let payload = payload(&first.token);
    let ended = flight.answer(TARGET, &reply(&first, &payload), start + round_trip);
    assert_eq!(ended, Some((1, EchoOutcome::Reply { round_trip })));
    assert_eq!((flight.get(&first), flight.len()), (None, 1));
    assert!(flight.get(&second).is_some());

    assert_eq!(flight.answer(TARGET, &reply(&first, &payload), start + round_trip), None);
    assert_eq!(count(flight.ignored()), [0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_proves_nothing_is_counted_and_ends_nothing() {
    let (mut flight, now) = (Flight::new(MOST), Instant::now());
    let ticket = sent(&mut flight, 1, now);
    let (right, other) = (payload(&ticket.token), payload(&[9; 16]));
    let mut changed = right.clone();
    changed[usize::from(SIZE) - 1] ^= 1;
    let elsewhere = Ticket { id: id(2), ..ticket };
    let cases = [
        ("another source", OTHER, reply(&ticket, &right), [0, 0, 1, 0]),
        ("another token", TARGET, reply(&ticket, &other), [0, 0, 1, 0]),
        ("a changed end", TARGET, reply(&ticket, &changed), [0, 0, 1, 0]),
        ("a cut payload", TARGET, reply(&ticket, &right[..31]), [0, 0, 1, 0]),
        ("another id", TARGET, reply(&elsewhere, &right), [0, 1, 0, 0]),
        ("an error about another target", OTHER, error(&ticket, OTHER, &right), [0, 0, 1, 0]),
        ("an error with another token", OTHER, error(&ticket, TARGET, &other), [0, 0, 1, 0]),
        ("an error about another id", OTHER, error(&elsewhere, TARGET, &right), [0, 1, 0, 0]),
        ("an error without payload", OTHER, error(&ticket, TARGET, &[]), [0, 0, 0, 1]),
        ("an error with most of the token", OTHER, error(&ticket, TARGET, &right[..15]), [0, 0, 0, 1]),
        ("an error with a part of another token", OTHER, error(&ticket, TARGET, &other[..8]), [0, 0, 1, 0]),
        ("another message", TARGET, Message::Other, [0, 0, 0, 0]),
    ];
    for (name, from, message, more) in cases {
        let before = count(flight.ignored());
        assert_eq!(flight.answer(from, &message, now), None, "{name}");
        let after = count(flight.ignored());
        let added: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(added, more, "{name}");
    }
    flight.malformed();
    assert_eq!(flight.ignored().malformed, 1);
    assert!(flight.get(&ticket).is_some());
    assert!(flight.answer(TARGET, &reply(&ticket, &right), now).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_quotes_the_token_ends_its_request_whoever_sends_it() {
    let (mut flight, now) = (Flight::new(MOST), Instant::now());
    for (number, quoted) in [(1, 16), (2, 32)] {
        let ticket = sent(&mut flight, number, now);
        let payload = payload(&ticket.token);
        let ended = flight.answer(OTHER, &error(&ticket, TARGET, &payload[..quoted]), now);
        let meaning = "host unreachable".to_owned();
        assert_eq!(
            ended,
            Some((number, EchoOutcome::Unreachable { from: OTHER, kind: 3, code: 1, meaning }))
        );
    }
    assert!(flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn deadlines_end_requests_in_their_order() {
    let (mut flight, start) = (Flight::new(MOST), Instant::now());
    let draw = |number| move || Ok::<_, Infallible>((id(number), [number; 16]));
    let at = |millis| start + Duration::from_millis(millis);
    assert_eq!(flight.next_deadline(), None);
    let late = flight.insert(request(TARGET), at(20), 20, draw(20)).unwrap();
    flight.insert(request(TARGET), at(10), 10, draw(10)).unwrap();
    flight.sent(&late, start);
    assert_eq!(flight.next_deadline(), Some(at(10)));
    assert_eq!(flight.expire(at(9)), None);
    let Some((10, EchoOutcome::NotSent { reason })) = flight.expire(at(20)) else { panic!() };
    assert!(reason.starts_with("the kernel took no more packets until the timeout"), "{reason}");
    assert_eq!(flight.expire(at(20)), Some((20, EchoOutcome::TimedOut)));
    assert_eq!((flight.expire(at(20)), flight.next_deadline(), flight.len()), (None, None, 0));

    let payload = payload(&late.token);
    assert_eq!(flight.answer(TARGET, &reply(&late, &payload), at(21)), None);
    assert_eq!(flight.ignored().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_answers_what_was_not_sent() {
    let (mut flight, now) = (Flight::new(MOST), Instant::now());
    let ticket = sent(&mut flight, 1, now);
    flight.remove(&ticket);
    let draw = || Ok::<_, Infallible>((ticket.id, ticket.token));
    flight.insert(request(TARGET), now, 2, draw).unwrap();
    let payload = payload(&ticket.token);
    assert_eq!(flight.answer(TARGET, &reply(&ticket, &payload), now), None);
    assert_eq!((flight.ignored().unknown, flight.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_drawn_anew_but_not_for_ever() {
    let (mut flight, now) = (Flight::new(MOST), Instant::now());
    let first = sent(&mut flight, 1, now);
    let mut draws = [1, 1, 2].into_iter();
    let drawn = || Ok::<_, Infallible>((id(draws.next().unwrap()), [5; 16]));
    assert_eq!(flight.insert(request(OTHER), now, 2, drawn).unwrap().id, id(2));
    assert_eq!(flight.get(&first), Some(&request(TARGET)));

    let mut tries = 0;
    let stuck = || {
        tries += 1;
        Ok::<_, Infallible>((id(1), [5; 16]))
    };
    assert_eq!(flight.insert(request(OTHER), now, 3, stuck), Err(Full::TooMany { in_flight: 2, most: 4 }));
    assert_eq!(tries, DRAWS);
    assert_eq!(flight.insert(request(OTHER), now, 3, || Err("none")), Err(Full::Random("none")));
    assert_eq!(flight.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_ticket_of_an_ended_request_does_not_touch_its_successor() {
    let (mut flight, now) = (Flight::new(MOST), Instant::now());
    let old = sent(&mut flight, 1, now);
    assert_eq!(flight.remove(&old), Some(1));
    assert_eq!(flight.remove(&old), None);
    let draw = || Ok::<_, Infallible>((id(1), [8; 16]));
    let new = flight.insert(request(OTHER), now, 8, draw).unwrap();
    flight.sent(&old, now);
    assert_eq!(flight.get(&old), None);
    assert_eq!(flight.remove(&old), None);
    assert_eq!(flight.get(&new), Some(&request(OTHER)));
    // Had the old ticket marked it as sent, it would have timed out.
    assert!(matches!(flight.expire(now), Some((8, EchoOutcome::NotSent { .. }))));
}

#[derive(Debug, Clone)]
enum Operation {
    Insert { number: u8, life: u64 },
    Send(u8),
    Reply { number: u8, token: u8 },
    Remove(u8),
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = || 0..6u8;
    prop_oneof![
        (number(), 0..20u64).prop_map(|(number, life)| Operation::Insert { number, life }),
        number().prop_map(Operation::Send),
        (number(), number()).prop_map(|(number, token)| Operation::Reply { number, token }),
        number().prop_map(|number| Operation::Reply { number, token: number }),
        number().prop_map(Operation::Remove),
        (0..8u64).prop_map(Operation::Wait),
    ]
}

proptest! {
    /// The reference model maps a number to its deadline and whether it was sent.
    #[test]
    fn random_operations_end_every_request_exactly_once(operations in vec(operation(), 0..80)) {
        let start = Instant::now();
        let (mut flight, mut model) = (Flight::new(MOST), BTreeMap::<u8, (u64, bool)>::new());
        let (mut now, mut unknown, mut mismatched) = (0, 0, 0);
        let ticket = |number| Ticket { id: id(number), token: [number; 16] };
        let at = |millis| start + Duration::from_millis(millis);
        for operation in operations {
            match operation {
                Operation::Insert { number, life } => {
                    let draw = || Ok::<_, Infallible>((id(number), [number; 16]));
                    let inserted = flight.insert(request(TARGET), at(now + life), number, draw);
                    let room = model.len() < MOST && !model.contains_key(&number);
                    prop_assert_eq!(inserted.is_ok(), room);
                    if room {
                        model.insert(number, (now + life, false));
                    }
                }
                Operation::Send(number) => {
                    flight.sent(&ticket(number), at(now));
                    if let Some((_, sent)) = model.get_mut(&number) {
                        *sent = true;
                    }
                }
                Operation::Reply { number, token } => {
                    let payload = payload(&[token; 16]);
                    let ended = flight.answer(TARGET, &reply(&ticket(number), &payload), at(now));
                    let sent = model.get(&number).is_some_and(|(_, sent)| *sent);
                    prop_assert_eq!(ended.is_some(), sent && token == number);
                    if let Some((waiter, _)) = ended {
                        prop_assert_eq!(waiter, number);
                        model.remove(&number);
                    }
                    unknown += u64::from(!sent);
                    mismatched += u64::from(sent && token != number);
                }
                Operation::Remove(number) => {
                    let expected = model.remove(&number).map(|_| number);
                    prop_assert_eq!(flight.remove(&ticket(number)), expected);
                }
                Operation::Wait(millis) => {
                    now += millis;
                    while let Some((number, outcome)) = flight.expire(at(now)) {
                        let (deadline, sent) = model.remove(&number).unwrap();
                        prop_assert!(deadline <= now);
                        prop_assert_eq!(outcome == EchoOutcome::TimedOut, sent);
                    }
                    prop_assert!(model.values().all(|(deadline, _)| *deadline > now));
                }
            }
            prop_assert_eq!(flight.len(), model.len());
            prop_assert_eq!(flight.next_deadline(), model.values().map(|(deadline, _)| at(*deadline)).min());
        }
        prop_assert_eq!(count(flight.ignored()), [0, unknown, mismatched, 0]);
    }
}
