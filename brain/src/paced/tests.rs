use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::*;
use crate::logs::LogTap;

#[test]
fn of_a_flood_the_first_are_written_and_the_rest_are_counted_by_party() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    let flood = |pending: &mut Pending, who: &str, times: usize, now| {
        (0..times).filter(|_| pending.add(Cause::Change, who.to_owned(), now)).count()
    };
    assert_eq!(flood(&mut pending, "uid 1000", 1435, start), 3);
    assert_eq!(flood(&mut pending, "uid 1001", 2, start), 2, "another party is not affected");
    assert!(pending.add(Cause::Connection, "uid 1000".to_owned(), start), "nor is another cause");
    assert_eq!(pending.due(start + WINDOW - Duration::from_millis(1)), []);
    let summary = Summary { cause: Cause::Change, who: "uid 1000".to_owned(), more: 1432 };
    assert_eq!(pending.due(start + WINDOW), [summary]);
    assert_eq!(flood(&mut pending, "uid 1000", 1, start + WINDOW), 1, "the next one is written again");
}

#[test]
fn parties_without_end_take_neither_memory_nor_lines() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    let written = (0..16_000)
        .filter(|number| pending.add(Cause::Handshake, format!("192.0.2.{number}"), start))
        .count();
    assert_eq!(written, MOST_PARTIES + 3, "each once, and three of the others");
    let due = pending.due(start + WINDOW);
    let others = Summary { cause: Cause::Handshake, who: "others".to_owned(), more: 16_000 - 19 };
    assert_eq!(due, [others]);
    assert!(pending.0.values().all(BTreeMap::is_empty));
}

#[test]
fn lines_say_who_and_how_many() {
    let tap = LogTap::default();
    let mut lines = tap.lines();
    let _asked = tap.ask(tracing::Level::INFO);
    with_default(registry().with(tap.layer()), || {
        let paced = Paced::default();
        for _ in 0..16_135 {
            paced.refused(Cause::Change, "uid 1000", "process 7", "");
        }
        drop(paced);
    });
    let mut written = Vec::new();
    while let Ok(line) = lines.try_recv() {
        written.push((line.message.clone(), line.fields.clone()));
    }
    assert_eq!(written.len(), 4, "{written:?}");
    assert_eq!(written[0].0, "a change was refused: not an admin");
    assert_eq!(written[0].1, [("who", "uid 1000".to_owned()), ("from", "process 7".to_owned())]);
    assert_eq!(written[3].0, "refused 16132 more changes from uid 1000 in the last 10 s");
}
