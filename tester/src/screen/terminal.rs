//! The terminal, which is given back whatever happens: at the end, after an error, and before the words of a panic.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

/// A task of the test has panicked; its words are on the terminal, which is no longer ours.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(super) struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    /// Takes it.
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            PANICKED.store(true, Ordering::Relaxed);
            before(info);
        }));
        enable_raw_mode()?;
        // From here on, an error gives it back.
        let given = GiveBack;
        execute!(stdout(), EnterAlternateScreen)?;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout()))?;
        std::mem::forget(given);
        Ok(Self(terminal))
    }

    /// Draws a picture.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(picture).map(|_| ())
    }

    /// An error once a part of the test has panicked, since the rest would not show that it is gone.
    pub(super) fn check(&self) -> io::Result<()> {
        match PANICKED.load(Ordering::Relaxed) {
            true => Err(io::Error::other("a part of the test has panicked")),
            false => Ok(()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

/// Nobody is left to tell if this fails.
fn give_back() {
    disable_raw_mode().ok();
    execute!(stdout(), LeaveAlternateScreen, Show).ok();
}
