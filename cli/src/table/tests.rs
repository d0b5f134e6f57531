use proptest::prelude::*;

use super::*;

const PLAIN: Palette = Palette::of(false);
const COLORED: Palette = Palette::of(true);

#[test]
fn columns_take_the_width_of_their_longest_cell() {
    let table = Table::new([Column::left("Name"), Column::right("N"), Column::left("Note")]).with_rows([
        [Cell::new("a"), Cell::number(7u32), Cell::new("")],
        [Cell::new("größer"), Cell::number(1234u32), Cell::new("x")],
    ]);
    let expected = "\
Name       N  Note
a          7
größer  1234  x
";
    assert_eq!(table.render(PLAIN), expected);
}

/// Chinese characters are two columns wide, combining accents none.
#[test]
fn width_is_that_of_the_terminal() {
    let table = Table::new([Column::left("Name"), Column::right("N")]).with_rows([
        [Cell::new("机房一"), Cell::number(7u32)],
        [Cell::new("e\u{301}te\u{301}"), Cell::number(8u32)],
        [Cell::new("hall-1"), Cell::number(9u32)],
    ]);
    assert_eq!(table.render(PLAIN), "Name    N\n机房一  7\ne\u{301}te\u{301}     8\nhall-1  9\n");
}

#[test]
fn columns_beside_a_table_line_up_with_it() {
    let table = Table::new([Column::left("Name"), Column::right("N")])
        .with_rows([[Cell::new("a"), Cell::number(7u32)], [Cell::new("long"), Cell::number(10u32)]]);
    let before =
        Beside { column: Column::left("Server"), cells: vec![Cell::new("all"), Cell::new("lb-two")] };
    let behind = Beside { column: Column::left("Differs"), cells: vec![Cell::new(""), Cell::new("state")] };
    let expected = "\
Server  Name   N  Differs
all     a      7
lb-two  long  10  state
";
    assert_eq!(table.render_between(&before, &behind, PLAIN), expected);
}

#[test]
fn empty_cell_in_the_middle_keeps_its_place() {
    let table = Table::new([Column::left("A"), Column::right("B"), Column::left("C")])
        .indented(2)
        .with_rows([[Cell::new("1"), Cell::new(""), Cell::new("3")]]);
    assert_eq!(table.render(PLAIN), "  A  B  C\n  1     3\n");
}

/// First columns are dropped, then headings shortened, then prose truncated.
#[test]
fn narrow_page_leaves_out_columns_shortens_headings_and_cuts_prose() {
    let columns = [
        Column::left("Name"),
        Column::left("Address").optional(1),
        Column::right("Configured").short("Conf"),
        Column::right("Took").optional(2),
        Column::left("Detail").prose(),
    ];
    let row = ["web1", "10.0.0.1", "100", "3.1ms", "connection refused by the peer"].map(Cell::new);
    let table = Table::new(columns).with_rows([row]);
    let at = |width| table.render(PLAIN.within(Some(width)));
    let whole = "\
Name  Address   Configured   Took  Detail
web1  10.0.0.1         100  3.1ms  connection refused by the peer
";
    assert_eq!((table.render(PLAIN).as_str(), at(65).as_str()), (whole, whole));
    let fewer = "\
Name  Address   Configured  Detail
web1  10.0.0.1         100  connection refused by the peer
";
    assert_eq!((at(64).as_str(), at(58).as_str()), (fewer, fewer));
    assert_eq!(at(48), "Name  Configured  Detail\nweb1         100  connection refused by the peer\n");
    assert_eq!(at(42), "Name  Conf  Detail\nweb1   100  connection refused by the peer\n");
    assert_eq!(at(30), "Name  Conf  Detail\nweb1   100  connection refu...\n");
    assert_eq!(at(1), "Name  Conf  Detail\nweb1   100  connectio...\n", "names and numbers stay whole");
}

#[test]
fn long_values_go_on_below() {
    let mut properties = Properties::default();
    properties.put("Sync", Cell::toned("failed: another brain writes", Tone::Bad)).put("PID", Cell::new("7"));
    let expected = "Sync  failed: another\n      brain writes\nPID   7\n";
    assert_eq!(properties.render(PLAIN.within(Some(22))), expected);
}

#[test]
fn properties_line_up() {
    let mut properties = Properties::default();
    properties.put("A", Cell::new("1")).put("Longer", Cell::toned("2", Tone::Good)).put("C", Cell::new(""));
    assert_eq!(properties.render(PLAIN), "A       1\nLonger  2\nC\n");
    let colored = "\x1b[1mA\x1b[0m       1\n\x1b[1mLonger\x1b[0m  \x1b[32m2\x1b[0m\n\x1b[1mC\x1b[0m\n";
    assert_eq!(properties.render(COLORED), colored);
    assert_eq!(Properties::default().render(PLAIN), "");
}

fn cell() -> impl Strategy<Value = (String, Tone)> {
    let tones = [Tone::Plain, Tone::Heading, Tone::Good, Tone::Warning, Tone::Bad, Tone::Faint];
    ("[a-zß机\u{301}:\\x00-\\x1f]{0,12}", prop::sample::select(tones.to_vec()))
}

proptest! {
    /// Whatever the first two columns contain, the third is aligned.
    #[test]
    fn later_columns_start_at_one_place(rows in prop::collection::vec((cell(), cell()), 0..8)) {
        let rows = rows.iter().map(|((a, a_tone), (b, b_tone))| {
            [Cell::toned(a, *a_tone), Cell::toned(b, *b_tone), Cell::new("|")]
        });
        let rows: Vec<_> = rows.collect();
        let count = rows.len();
        let table = Table::new([Column::left("A"), Column::right("B"), Column::left("|")]).with_rows(rows);
        let text = table.render(PLAIN);
        let places: Vec<_> = text.lines().map(|line| line.split_once('|').map(|(before, _)| before.width())).collect();
        prop_assert_eq!(places.len(), count + 1);
        prop_assert!(places[0].is_some());
        prop_assert!(places.iter().all(|place| *place == places[0]), "{}", text);
        let colored = table.render(COLORED);
        prop_assert_eq!(colored.lines().count(), count + 1);
    }
}
