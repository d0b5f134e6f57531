use super::*;

fn add(pending: &mut Pending, kind: Kind, who: &str, detail: &str, now: Instant) -> Option<Line> {
    pending.add(kind, who.to_owned(), detail.to_owned(), now)
}

fn line(kind: Kind, who: &str, detail: &str, times: u64) -> Line {
    Line { kind, who: who.to_owned(), detail: detail.to_owned(), times }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_one_line_a_second_that_says_who_and_how_many() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    let first = add(&mut pending, Kind::Refused, "user 7", "process 1", start);
    assert_eq!(first, Some(line(Kind::Refused, "user 7", "process 1", 1)));
    for number in 0..16_135 {
        let who = if number % 2 == 0 { "user 7" } else { "user 8" };
        assert_eq!(add(&mut pending, Kind::Refused, who, &format!("process {number}"), start), None);
    }
    // Another kind is not delayed by it.
    let other = add(&mut pending, Kind::Closed, "process 5", "a reason", start);
    assert_eq!(other, Some(line(Kind::Closed, "process 5", "a reason", 1)));
    assert_eq!(pending.due(start + PERIOD / 2), []);
    let told = line(Kind::Refused, "user 7 (8068 times), user 8 (8067 times)", "process 16134", 16_135);
    assert_eq!(pending.due(start + PERIOD), [told]);
    // After a quiet second, the next event is logged at once.
    assert_eq!(add(&mut pending, Kind::Refused, "user 9", "", start + PERIOD), None);
    assert_eq!(pending.due(start + 2 * PERIOD), [line(Kind::Refused, "user 9", "", 1)]);
    assert_eq!(pending.due(start + 3 * PERIOD), []);
    assert!(add(&mut pending, Kind::Refused, "user 9", "", start + 3 * PERIOD).is_some());
}

#[tokio::test(start_paused = true)]
async fn peers_without_number_are_counted_together() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    for number in 0..1000 {
        add(&mut pending, Kind::Crowded, &format!("process {number}"), "", start);
    }
    let [told] = &pending.due(start + PERIOD)[..] else { panic!() };
    assert_eq!(told.times, 999);
    assert!(told.who.starts_with("process 1, process 2, "), "{}", told.who);
    assert!(told.who.ends_with(", process 16, others (983 times)"), "{}", told.who);
}
