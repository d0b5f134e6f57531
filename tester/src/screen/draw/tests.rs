use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::super::samples::two_vips;
use super::*;

fn picture(width: u16, height: u16, app: &mut App, scene: &Scene<'_>) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, scene)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|line| {
        let line: String = line.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// The one with flows is chosen.
fn app() -> App {
    let mut app = App::default();
    app.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
    app
}

#[test]
fn pictures_are_as_they_were_approved() {
    let mut snapshot = two_vips();
    for (width, height, expected) in
        [(80, 24, include_str!("80x24.txt")), (200, 60, include_str!("200x60.txt"))]
    {
        snapshot.brain_error = (width > 100).then(|| "no answer".to_owned());
        let scene = Scene { snapshot: &snapshot, is_paused: width > 100, is_coloured: true };
        let found = text(&picture(width, height, &mut app(), &scene));
        assert_eq!(found, expected, "\n{found}");
    }
}

#[test]
fn without_colour_there_is_none_and_the_words_are_the_same() {
    let snapshot = two_vips();
    let scene = |is_coloured| Scene { snapshot: &snapshot, is_paused: true, is_coloured };
    let plain = picture(80, 24, &mut app(), &scene(false));
    let coloured = picture(80, 24, &mut app(), &scene(true));
    assert_eq!(text(&plain), text(&coloured));
    let has_colour = |buffer: &Buffer| buffer.content.iter().any(|cell| cell.fg != Color::Reset);
    assert!(has_colour(&coloured) && !has_colour(&plain));
}

#[test]
fn any_size_and_any_number_of_vips_can_be_drawn() {
    let mut snapshot = two_vips();
    let scene = Scene { snapshot: &snapshot, is_paused: false, is_coloured: true };
    for (width, height) in [(1, 1), (10, 3), (40, 10), (119, 24), (120, 5), (500, 200)] {
        picture(width, height, &mut app(), &scene);
    }
    let www = snapshot.vips[0].clone();
    snapshot.vips.extend(std::iter::repeat_n(www, 500));
    let scene = Scene { snapshot: &snapshot, is_paused: false, is_coloured: true };
    let mut app = app();
    for _ in 0..400 {
        app.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
    }
    let found = text(&picture(80, 24, &mut app, &scene));
    assert!(found.contains("> www"), "the chosen one is in sight:\n{found}");
    snapshot.vips.clear();
    let scene = Scene { snapshot: &snapshot, is_paused: false, is_coloured: true };
    assert!(text(&picture(80, 24, &mut app, &scene)).contains("No VIP matches"));
}
