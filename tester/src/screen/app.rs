//! What the keys have made of the screen. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use maglev_tester::snapshot::{Snapshot, VipSnapshot};

/// Longest filter that is typed.
const LONGEST_FILTER: usize = 40;

/// The order of VIPs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Failing ones first, then those with most failures.
    #[default]
    Trouble,
    /// By name.
    Name,
    /// The slowest first, by the 99th percentile of the last hundred answers.
    Latency,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
            Self::Latency => "latency",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Name,
            Self::Name => Self::Latency,
            Self::Latency => Self::Trouble,
        }
    }
}

/// What a key asks of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Pause,
    Reset,
}

/// The screen's own state.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) sort: Sort,
    /// Part of the names that are shown.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    /// The chosen VIP, by name and address, so that another order leaves it chosen.
    chosen: Option<(String, String)>,
    /// Steps to another VIP, taken when the rows are known.
    steps: isize,
}

impl App {
    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Command> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Some(Command::Quit),
            KeyCode::Char(char) if self.is_typing && !is_control => {
                let has_room = self.filter.chars().count() < LONGEST_FILTER;
                self.filter.extend(has_room.then_some(char));
            }
            KeyCode::Backspace if self.is_typing => drop(self.filter.pop()),
            KeyCode::Enter if self.is_typing => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Char('q') => return Some(Command::Quit),
            KeyCode::Char('p') => return Some(Command::Pause),
            KeyCode::Char('r') => return Some(Command::Reset),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => self.steps += 1,
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => self.steps -= 1,
            _ => {}
        }
        None
    }

    /// The VIPs to show, in order, and the place of the chosen one among them.
    pub(super) fn rows<'s>(&mut self, snapshot: &'s Snapshot) -> (Vec<&'s VipSnapshot>, usize) {
        let filter = self.filter.to_lowercase();
        let is_wanted =
            |vip: &&VipSnapshot| vip.vip.to_lowercase().contains(&filter) || vip.address.contains(&filter);
        let mut rows: Vec<_> = snapshot.vips.iter().filter(is_wanted).collect();
        match self.sort {
            Sort::Trouble => rows.sort_by_key(|vip| (vip.state, std::cmp::Reverse(vip.failed))),
            Sort::Name => rows.sort_by(|one, other| one.vip.cmp(&other.vip)),
            Sort::Latency => {
                rows.sort_by(|one, other| other.last_hundred.p99.total_cmp(&one.last_hundred.p99));
            }
        }
        let is_chosen = |vip: &&VipSnapshot| {
            self.chosen.as_ref().is_some_and(|(name, address)| *name == vip.vip && *address == vip.address)
        };
        let before = rows.iter().position(is_chosen).unwrap_or(0);
        let last = rows.len().saturating_sub(1);
        let place = before.saturating_add_signed(self.steps).min(last);
        // Nothing but a key chooses: until then the first row is shown, whichever that is.
        if self.steps != 0 {
            self.chosen = rows.get(place).map(|vip| (vip.vip.clone(), vip.address.clone()));
        }
        self.steps = 0;
        (rows, place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::two_vips;
    use super::*;

    fn press(app: &mut App, keys: &str) -> Vec<Command> {
        let code = |char| match char {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            '\t' => KeyCode::Tab,
            char => KeyCode::Char(char),
        };
        keys.chars().filter_map(|char| app.key(KeyEvent::new(code(char), KeyModifiers::NONE))).collect()
    }

    fn shown(app: &mut App) -> (Vec<String>, usize) {
        let snapshot = two_vips();
        let (rows, place) = app.rows(&snapshot);
        (rows.iter().map(|vip| vip.vip.clone()).collect(), place)
    }

    #[test]
    fn keys_sort_filter_and_choose() {
        let mut app = App::default();
        assert_eq!(shown(&mut app), (vec!["dns".to_owned(), "www".to_owned()], 0), "failing first");
        press(&mut app, "\t");
        assert_eq!(shown(&mut app).1, 1);
        press(&mut app, "\t\t");
        assert_eq!(shown(&mut app).1, 1, "there is none below");
        press(&mut app, "ss");
        assert_eq!(shown(&mut app), (vec!["www".to_owned(), "dns".to_owned()], 0), "it stays chosen");
        assert_eq!(press(&mut app, "/qpr"), [], "they are letters of the filter");
        press(&mut app, "\x08\x08\x08DNS\n");
        assert_eq!(shown(&mut app).0, ["dns"]);
        press(&mut app, "/x");
        assert_eq!(shown(&mut app), (vec![], 0));
        press(&mut app, "\x1b");
        assert_eq!(shown(&mut app).0.len(), 2);
        assert_eq!(press(&mut app, "prq"), [Command::Pause, Command::Reset, Command::Quit]);
    }

    #[test]
    fn control_c_quits_while_a_filter_is_typed() {
        let mut app = App { is_typing: true, ..App::default() };
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(app.key(key), Some(Command::Quit));
    }
}
