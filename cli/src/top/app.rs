//! What the keys have made of the screen. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Longest filter that is typed.
const LONGEST_FILTER: usize = 40;

/// Kind of rows on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum View {
    #[default]
    Frontends,
    Backends,
}

/// The order of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The worst first.
    #[default]
    Trouble,
    Name,
    /// Most packets per second first.
    Packets,
    /// Most flows first.
    Flows,
    /// Most new flows first; of backends, the slowest probe.
    Last,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Trouble, Self::Name, Self::Packets, Self::Flows, Self::Last];

    pub(crate) fn word(self, view: View) -> &'static str {
        match (self, view) {
            (Self::Trouble, _) => "trouble",
            (Self::Name, _) => "name",
            (Self::Packets, _) => "packets",
            (Self::Flows, _) => "flows",
            (Self::Last, View::Frontends) => "new flows",
            (Self::Last, View::Backends) => "probe time",
        }
    }

    fn next(self) -> Self {
        let mut others = Self::ALL.into_iter().cycle().skip_while(|sort| *sort != self).skip(1);
        others.next().unwrap_or_default()
    }
}

/// The screen's own state.
#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) view: View,
    pub(crate) sort: Sort,
    /// Part of the names that are shown.
    pub(crate) filter: String,
    /// Whether the filter is being typed.
    pub(crate) is_typing: bool,
    pub(crate) is_paused: bool,
    pub(crate) is_helping: bool,
    /// Rows above the screen.
    pub(crate) skipped: usize,
}

impl App {
    /// Takes a key, on a screen with room for so many rows of so many. Returns whether to end.
    pub(crate) fn key(&mut self, key: KeyEvent, room: usize, rows: usize) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let page = room.max(1);
        match key.code {
            KeyCode::Char('c') if is_control => return true,
            KeyCode::Char(char) if self.is_typing && !is_control => {
                let has_room = self.filter.chars().count() < LONGEST_FILTER && !char.is_control();
                self.filter.extend(has_room.then_some(char));
                self.skipped = 0;
            }
            KeyCode::Backspace if self.is_typing => drop(self.filter.pop()),
            KeyCode::Enter if self.is_typing => self.is_typing = false,
            KeyCode::Esc => {
                (self.is_typing, self.is_helping) = (false, false);
                self.filter.clear();
            }
            KeyCode::Char('q') => return true,
            KeyCode::Char('?' | 'h') => self.is_helping = !self.is_helping,
            KeyCode::Char('f') => self.show(View::Frontends),
            KeyCode::Char('b') => self.show(View::Backends),
            KeyCode::Tab => self.show(match self.view {
                View::Frontends => View::Backends,
                View::Backends => View::Frontends,
            }),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => (self.sort, self.skipped) = (self.sort.next(), 0),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Down | KeyCode::Char('j') => self.skipped = self.skipped.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.skipped = self.skipped.saturating_sub(1),
            KeyCode::PageDown => self.skipped = self.skipped.saturating_add(page),
            KeyCode::PageUp => self.skipped = self.skipped.saturating_sub(page),
            KeyCode::Home => self.skipped = 0,
            KeyCode::End => self.skipped = rows,
            _ => {}
        }
        self.skipped = self.skipped.min(rows.saturating_sub(room));
        false
    }

    fn show(&mut self, view: View) {
        (self.view, self.skipped) = (view, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(app: &mut App, codes: &[KeyCode]) -> bool {
        codes.iter().any(|code| app.key(KeyEvent::new(*code, KeyModifiers::NONE), 10, 25))
    }

    fn keys(text: &str) -> Vec<KeyCode> {
        text.chars().map(KeyCode::Char).collect()
    }

    #[test]
    fn keys_switch_sort_filter_and_scroll() {
        let mut app = App::default();
        assert!(!press(&mut app, &keys("bs")));
        assert_eq!((app.view, app.sort), (View::Backends, Sort::Name));
        press(&mut app, &keys("ssss"));
        assert_eq!(app.sort, Sort::Trouble);
        press(&mut app, &[KeyCode::PageDown, KeyCode::Down]);
        assert_eq!(app.skipped, 11);
        press(&mut app, &[KeyCode::PageDown]);
        assert_eq!(app.skipped, 15, "the last page stays full");
        press(&mut app, &[KeyCode::PageUp, KeyCode::PageUp, KeyCode::Up]);
        assert_eq!(app.skipped, 0);
        assert!(!press(&mut app, &keys("/qpf")), "they are letters of the filter");
        assert_eq!((app.filter.as_str(), app.is_paused), ("qpf", false));
        press(&mut app, &[KeyCode::Backspace, KeyCode::Enter]);
        assert_eq!((app.filter.as_str(), app.is_typing), ("qp", false));
        press(&mut app, &[KeyCode::Esc, KeyCode::Tab]);
        assert_eq!((app.filter.as_str(), app.view), ("", View::Frontends));
        press(&mut app, &keys("p?"));
        assert!(app.is_paused && app.is_helping);
        assert!(press(&mut app, &keys("q")));
    }

    #[test]
    fn control_c_ends_while_a_filter_is_typed() {
        let mut app = App { is_typing: true, ..App::default() };
        assert!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), 10, 0));
    }
}
