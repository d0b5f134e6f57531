use super::*;

fn colored(color: Color, terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    let palette = Palette::choose(color, terminal, no_color.map(OsStr::new), term.map(OsStr::new));
    palette == Palette::of(true)
}

#[test]
fn auto_colors_only_a_terminal_that_wants_it() {
    assert!(colored(Color::Auto, true, None, Some("xterm-256color")));
    assert!(colored(Color::Auto, true, Some(""), None));
    assert!(!colored(Color::Auto, false, None, Some("xterm-256color")));
    assert!(!colored(Color::Auto, true, Some("1"), Some("xterm-256color")));
    assert!(!colored(Color::Auto, true, None, Some("dumb")));
}

#[test]
fn always_and_never_go_before_the_environment() {
    assert!(colored(Color::Always, false, Some("1"), Some("dumb")));
    assert!(!colored(Color::Never, true, None, None));
}

#[test]
fn paint_leaves_plain_and_empty_text_alone() {
    assert_eq!(Palette::of(true).paint(Tone::Bad, "down"), "\x1b[31mdown\x1b[0m");
    assert_eq!(Palette::of(true).paint(Tone::Plain, "down"), "down");
    assert_eq!(Palette::of(true).paint(Tone::Bad, ""), "");
    assert_eq!(Palette::of(false).paint(Tone::Bad, "down"), "down");
}
