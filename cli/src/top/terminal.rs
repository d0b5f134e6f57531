//! The terminal, which is given back whatever happens: at the end, after an error, and before the words of a panic.

use std::io::{self, Write, stdout};
use std::panic;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

/// The terminal while it is ours.
pub(super) struct Terminal(());

impl Terminal {
    /// Takes it.
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        enable_raw_mode()?;
        // From here on, an error gives it back.
        let taken = Self(());
        execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(taken)
    }

    /// Its columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        size().map_or((80, 24), |(columns, lines)| (columns.into(), lines.into()))
    }

    /// Replaces what is shown, without a moment of emptiness.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = stdout().lock();
        for (line, row) in lines.iter().zip(0..) {
            queue!(out, MoveTo(0, row))?;
            out.write_all(line.as_bytes())?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        if let Ok(below) = u16::try_from(lines.len()) {
            queue!(out, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
        // The shell goes on after it.
        if !std::thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// Nobody is left to tell if this fails.
fn give_back() {
    execute!(stdout(), EnableLineWrap, LeaveAlternateScreen, Show).ok();
    disable_raw_mode().ok();
}
