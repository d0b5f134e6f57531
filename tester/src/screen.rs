//! The screen: VIPs, and of the chosen one the servers, failures and flows.
//!
//! `app` is what the keys have made of it, `draw` puts it on the screen, `terminal` takes the terminal and gives it back.

mod app;
mod draw;
#[cfg(test)]
mod samples;
mod terminal;

use std::time::{Duration, SystemTime};

use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures::StreamExt;
use maglev_tester::brain::Link;
use maglev_tester::run::Tester;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::headless::take;
use app::{App, Command};
use terminal::Terminal;

/// Time between two pictures.
const PERIOD: Duration = Duration::from_millis(250);
/// Failures and events that are taken for a picture.
const DETAIL: usize = 50;

/// Shows a test until `q`, Ctrl-C or a signal.
pub(crate) async fn run(
    tester: &Tester,
    link: &watch::Sender<Link>,
    is_coloured: bool,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminal = Terminal::take().context("cannot use the terminal; --report needs none")?;
    let (mut app, mut keys) = (App::default(), EventStream::new());
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = ticks.tick() => terminal.check()?,
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match app.key(key) {
                    Some(Command::Quit) => return Ok(()),
                    Some(Command::Pause) => tester.pause(!tester.is_paused()),
                    Some(Command::Reset) => tester.reset(Instant::now().into_std(), SystemTime::now()),
                    None => {}
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("cannot read from the terminal"),
                None => return Ok(()),
            },
        }
        let snapshot = take(tester, link, DETAIL);
        let scene = draw::Scene { snapshot: &snapshot, is_paused: tester.is_paused(), is_coloured };
        terminal.draw(|frame| draw::draw(frame, &mut app, &scene))?;
    }
}
