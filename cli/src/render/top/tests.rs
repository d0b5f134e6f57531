use std::collections::BTreeMap;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::*;
use crate::samples::{self, NOW};
use crate::style::Palette;

fn feed(list: List) -> Feed {
    Feed { server: "lb1:17090".to_owned(), list, read: Some(Instant::now()), error: None, count: 2 }
}

fn of_frontends() -> Feed {
    let rates =
        BTreeMap::from([("shop".to_owned(), [123_456.7, 9.54, 0.0]), ("mail".to_owned(), [4.0, 0.0, 4.0])]);
    feed(List::Frontends(samples::frontends(), rates))
}

fn of_backends() -> Feed {
    let rates = BTreeMap::from([("web1".to_owned(), [50_000.0, 62_500_000.0])]);
    feed(List::Backends(samples::backends(), rates))
}

fn draw(app: &App, feeds: &[Feed], (width, lines): (usize, usize)) -> Vec<String> {
    let palette = Palette::of(false).within(Some(width));
    screen(app, feeds, Instant::now(), Moment(NOW), Some(lines), palette)
}

fn app(view: View, sort: Sort) -> App {
    App { view, sort, ..App::default() }
}

#[tokio::test]
async fn every_size_is_filled_and_never_exceeded() {
    let hostile = Frontend { name: "x\u{1b}[2J\n\u{202e}".repeat(30), ..samples::shop() };
    let mut list = samples::frontends();
    list.push(hostile);
    let frontends = feed(List::Frontends(list, BTreeMap::new()));
    let silent = Feed { error: Some("cannot connect: refused ".repeat(20)), ..of_backends() };
    for size in [(80, 24), (40, 24), (200, 60), (80, 3), (12, 1), (40, 0)] {
        for view in [View::Frontends, View::Backends] {
            for is_helping in [false, true] {
                let app = App { is_helping, ..app(view, Sort::Trouble) };
                let lines = draw(&app, &[frontends.clone(), silent.clone()], size);
                assert_eq!(lines.len(), size.1, "{size:?}: {lines:#?}");
                for line in lines {
                    assert!(line.width() <= size.0.max(36), "{size:?}: {line}");
                    assert!(!line.contains(['\u{1b}', '\n', '\u{202e}']), "{line:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn frontends_are_listed_worst_first_with_their_rates() {
    let lines = draw(&app(View::Frontends, Sort::Trouble), &[of_frontends()], (80, 24));
    assert!(lines[0].contains("frontends by trouble") && lines[0].ends_with("04:12:03 UTC"), "{}", lines[0]);
    assert!(lines[1].starts_with("Frontend") && lines[1].contains("Pkts/s  New/s  Drops/s"), "{}", lines[1]);
    assert!(lines[2].starts_with("mail") && lines[2].contains("down"), "{}", lines[2]);
    let shop = lines.iter().find(|line| line.starts_with("shop ")).unwrap();
    assert!(shop.contains("123k") && shop.contains("9.5"), "{shop}");
    assert_eq!(lines[23], KEYS);
    let packets = draw(&app(View::Frontends, Sort::Packets), &[of_frontends()], (80, 24));
    assert!(packets[2].starts_with("shop ") && packets[3].starts_with("mail"), "{packets:#?}");
}

#[tokio::test]
async fn backends_have_traffic_and_probes() {
    let lines = draw(&app(View::Backends, Sort::Packets), &[of_backends()], (200, 60));
    assert!(lines[1].contains("Mbit/s") && lines[1].contains("Probe"), "{}", lines[1]);
    assert!(
        lines[2].starts_with("web1") && lines[2].contains("50000") && lines[2].contains("500"),
        "{}",
        lines[2]
    );
    let narrow = draw(&app(View::Backends, Sort::Trouble), &[of_backends()], (40, 24));
    assert!(narrow[1].contains("State") && narrow[1].contains("Pkts/s"), "{}", narrow[1]);
}

#[tokio::test]
async fn silent_server_is_told_with_its_age_and_marked_without_colours() {
    let silent = Feed { error: Some("connection refused".to_owned()), ..of_frontends() };
    let at = silent.read.unwrap() + Duration::from_secs(12);
    let palette = Palette::of(false).within(Some(80));
    let lines = screen(&App::default(), &[silent], at, Moment(NOW), Some(24), palette);
    assert_eq!(lines[1], "lb1:17090: no answer for 12s: connection refused");
    assert!(lines[3].contains("down?"), "{}", lines[3]);
}

#[tokio::test]
async fn filter_scroll_and_several_servers() {
    let two = [of_frontends(), Feed { server: "lb2".to_owned(), ..of_frontends() }];
    let filtered = App { filter: "SHOP".to_owned(), is_paused: true, ..app(View::Frontends, Sort::Name) };
    let lines = draw(&filtered, &two, (80, 24));
    assert!(lines[0].contains(" of ") && lines[0].contains("PAUSED"), "{}", lines[0]);
    assert!(lines[2].starts_with("shop @ lb1:17090") && lines[3].starts_with("shop @ lb2"), "{lines:#?}");
    assert!(lines[23].starts_with("filter: SHOP  Enter"), "{}", lines[23]);
    let (room, count) = rows(&App::default(), &two, (80, 6));
    assert_eq!(room, 3);
    let last = draw(&App { skipped: usize::MAX, ..App::default() }, &two, (80, 6));
    assert!(count > room && !last[4].is_empty(), "the last page is full: {last:#?}");
}

#[test]
fn rates_are_short() {
    let words = |value: f64| rate(Some(value)).text().to_owned();
    assert_eq!([0.0, 0.5, 12.3, 99_999.0].map(words), ["0", "0.5", "12", "99999"]);
    assert_eq!([100_000.0, 12_345_678.0, 2e9].map(words), ["100k", "12.3M", "2.0G"]);
    assert_eq!(rate(None).text(), "-");
}
