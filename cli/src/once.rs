//! One command from start to exit code.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use maglev_daemon::retry::backoff;
use maglev_proto::{ChangeBackendResponse, Event};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use terminal_size::{Width, terminal_size_of};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::answer::{Answer, Versions};
use crate::args::drain::Drain;
use crate::args::{Command, DrainWhat, Events, Options, Show, Watch};
use crate::client::Client;
use crate::commands::{self, Terms};
use crate::error::Error;
use crate::moment::{Moment, span};
use crate::preview::{self, needs_consent};
use crate::render;
use crate::servers::{self, Reply};
use crate::style::{Palette, printable_json};
use crate::watch::{self, Ending, Reader};
use crate::{drain, drain_lb, exec};
use maglev_proto::client::ServerAddress;

/// The convention of shells: 128 plus the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Page width in columns without a terminal.
const PAGE: usize = 80;

/// How often to check the terminal for the answer to a question.
const KEYS: Duration = Duration::from_millis(50);

/// How often a watch checks whether its output is still being read.
const READERS: Duration = Duration::from_millis(200);

/// Runs the command; returns its exit code.
pub(crate) async fn run(command: &Command, options: &Options) -> Result<u8, Error> {
    if let Command::Top(top) = command {
        return crate::top::run(top, options).await;
    }
    let mut servers = options.servers();
    let (Some(server), true) = (servers.pop(), servers.is_empty()) else {
        return ask_several(command, options).await;
    };
    let answer = match command {
        Command::Watch(Watch::Events(events)) => return follow(events, &server, options).await,
        Command::Drain(DrainWhat::Lb { drain }) if drain.drain.wait.is_some() => {
            let client = Client::connect(&server, &options.tls, options.timeout).await?;
            let Answer::LbDrainChanged(change) = change(&client, command, options).await? else {
                return Err(Error::NoSingleAnswer);
            };
            let to_do = (drain.drain.floor, drain.drain.wait.unwrap_or_default());
            let show = |left: &str| drop(tell(&format!("load balancer: {left}\n")));
            match drain_lb::wait(&client, change, to_do, ctrl_c(), show).await {
                Some(drained) => Ok(Answer::LbDrained(drained)),
                None => {
                    show("no longer waiting; it stays drained");
                    return Ok(INTERRUPTED);
                }
            }
        }
        Command::Drain(what) if what.drain().wait.is_some() => {
            let client = Client::connect(&server, &options.tls, options.timeout).await?;
            let Answer::BackendChanged(change) = change(&client, command, options).await? else {
                return Err(Error::NoSingleAnswer);
            };
            match drained(&client, change, what).await {
                Some(answer) => Ok(answer),
                None => return Ok(INTERRUPTED),
            }
        }
        _ => ask_one(&server, command, options).await,
    };
    match (answer, command) {
        // maglevc's own version is a useful answer even so.
        (Err(error), Command::Show(Show::Version)) if error.is_silence() => {
            print_answer(&Answer::Versions(Versions::alone(&error.to_string())), options)
        }
        (Ok(answer @ Answer::Status(_)), Command::Show(Show::Status { check: true })) => {
            print_answer(&answer, options).map(|code| code.max(u8::from(!answer.is_well())))
        }
        (answer, _) => print_answer(&answer?, options),
    }
}

/// Waits for each backend that is drained, one after the other: none of them gets new flows meanwhile. `None` after
/// Ctrl-C.
async fn drained(client: &Client, change: ChangeBackendResponse, what: &DrainWhat) -> Option<Answer> {
    let names: Vec<_> = match what {
        DrainWhat::Backend { name, .. } => vec![name.clone()],
        DrainWhat::Backends { .. } | DrainWhat::Host { .. } => {
            let drained = change.backends.iter().filter(|one| one.refused.is_empty());
            drained.filter_map(|one| Some(one.backend.as_ref()?.name.clone())).collect()
        }
        DrainWhat::Lb { .. } => Vec::new(),
    };
    let Drain { wait, floor, .. } = what.drain();
    let end = Instant::now() + wait.unwrap_or_default();
    let mut all = Vec::new();
    for name in &names {
        let to_do = (*floor, end.saturating_duration_since(Instant::now()));
        let show = |left: &str| progress(name, left);
        match drain::wait(client, change.clone(), name, to_do, ctrl_c(), show).await {
            Some(drained) => all.push(drained),
            None => {
                progress(name, "no longer waiting; it stays paused");
                return None;
            }
        }
    }
    Some(match (what, all.pop()) {
        (DrainWhat::Backend { .. }, Some(only)) => Answer::Drained(only),
        (_, last) => Answer::AllDrained(all.into_iter().chain(last).collect()),
    })
}

async fn ask_one(server: &ServerAddress, command: &Command, options: &Options) -> Result<Answer, Error> {
    let client = Client::connect(server, &options.tls, options.timeout).await?;
    change(&client, command, options).await
}

/// Executes a command, after its preview and the consent that it needs.
async fn change(client: &Client, command: &Command, options: &Options) -> Result<Answer, Error> {
    let mut state = None;
    if !options.yes
        && let Some(preview) = preview::preview(command, client).await?
    {
        let text = preview::text(&preview);
        if needs_consent(&preview) {
            ask_consent(&text).await?;
            // The consent applies to this state only.
            state = Some(preview.state);
        } else if !text.is_empty() {
            tell(&text)?;
        }
    }
    commands::run(command, client, Terms { state, no_wait: options.no_wait, local: options.local }).await
}

async fn ask_several(command: &Command, options: &Options) -> Result<u8, Error> {
    let servers = options.servers();
    let what = match command {
        Command::Show(show) => {
            let replies = servers::ask(servers, show, options).await;
            let text = if options.json {
                servers::json(&replies)?
            } else {
                render::servers::text(&replies, now(), palette(options))?
            };
            print(text.as_bytes())?;
            let is_well = |reply: &Reply| reply.answer.as_ref().is_ok_and(Answer::is_well);
            let is_checked = matches!(show, Show::Status { check: true });
            let unwell = is_checked && !replies.iter().all(is_well);
            return Ok(servers::exit_code(&replies).max(u8::from(unwell)));
        }
        Command::Config(_) => "each has its own configuration",
        Command::Check(_) => "one probes at a time",
        Command::Watch(_) | Command::Top(_) => "only one can be watched",
        Command::Set(_)
        | Command::Clear(_)
        | Command::Recreate(_)
        | Command::Drain(_)
        | Command::Undrain(_)
        | Command::Whatif(_)
        | Command::Generate(_)
        | Command::Fleet(_)
        | Command::Sync(_) => "a change is made on one only",
    };
    Err(Error::OneServer { servers: servers.len(), what })
}

fn print_answer(answer: &Answer, options: &Options) -> Result<u8, Error> {
    let text = if options.json { answer.json()? } else { render::text(answer, now(), palette(options)) };
    print(text.as_bytes())?;
    Ok(answer.exit_code())
}

async fn follow(events: &Events, server: &ServerAddress, options: &Options) -> Result<u8, Error> {
    let palette = palette(options);
    let mut interrupt = pin!(ctrl_c());
    let show = async |event: &Event| {
        let json = || {
            let text = serde_json::to_string(event).map_err(Error::Json)?;
            Ok::<_, Error>(printable_json(&text) + "\n")
        };
        let line = if options.json { json()? } else { render::events::event(event, palette) };
        let reader = print(line.as_bytes())?;
        if let (Some(command), Reader::There) = (&events.exec, reader)
            && let Err(error) = exec::run(command, &json()?).await
        {
            tell(&format!("maglevc: --exec: {error}\n"))?;
        }
        Ok(reader)
    };
    let (mut count, mut failures) = (0, 0);
    // When the connection was lost, and why.
    let mut lost: Option<(Instant, String)> = None;
    let following = async {
        loop {
            let since = lost.as_ref().map(|(at, _)| *at);
            let before = count;
            let watched = async {
                let client = Client::connect(server, &options.tls, options.timeout).await?;
                if let Some(since) = since {
                    let gap = span(since.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
                    tell(&format!(
                        "maglevc: connected again: no events for {gap}; the current state follows\n"
                    ))?;
                }
                watch::follow(&events.filter, &client, &mut count, &mut interrupt, &show).await
            };
            match watched.await {
                Err(error) if events.follow && error.is_silence() => {
                    if count > before {
                        (failures, lost) = (0, None);
                    }
                    let reason = error.to_string();
                    // Once for each reason, however often it is retried.
                    if lost.as_ref().is_none_or(|(_, told)| *told != reason) {
                        tell(&format!("maglevc: {reason}; trying again\n"))?;
                    }
                    lost = Some((lost.map_or_else(Instant::now, |(at, _)| at), reason));
                    failures += 1;
                    tokio::select! {
                        () = sleep(backoff(failures)) => {}
                        () = &mut interrupt => return Ok(Ending::Interrupted),
                    }
                }
                ended => return ended,
            }
        }
    };
    let ending = tokio::select! {
        ending = following => ending?,
        () = reader_has_gone() => Ending::Complete,
    };
    // Ctrl-C is the normal end of an endless watch.
    Ok(if ending == Ending::Interrupted && events.filter.num > 0 { INTERRUPTED } else { 0 })
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // The signal then ends the process by default.
        std::future::pending().await
    }
}

/// How far a drain is, on standard error: the answer comes at its end.
fn progress(backend: &str, left: &str) {
    // Nobody is left to tell if that fails.
    drop(tell(&format!("backend {backend}: {left}\n")));
}

/// Returns when standard output is closed at the other end of a pipe or socket. Files have none.
async fn reader_has_gone() {
    loop {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        let polled = poll(&mut watched, PollTimeout::ZERO);
        if polled.is_ok() && watched[0].revents().is_some_and(|found| found.intersects(gone)) {
            return;
        }
        tokio::time::sleep(READERS).await;
    }
}

/// Asks on a terminal; fails without one.
async fn ask_consent(text: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let words = format!("refused: add --yes to confirm\n  {}", text.trim_end().replace('\n', "\n  "));
        return Err(Error::NotConfirmed(words));
    }
    // Registered before the question can be read.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Question)?;
    tell(&format!("{text}Continue? [y/N] "))?;
    let unchanged = || Error::NotConfirmed("nothing is changed".to_owned());
    tokio::select! {
        biased;
        _ = interrupt.recv() => {
            tell("\n")?;
            return Err(unchanged());
        }
        typed = a_line_is_typed() => typed.map_err(Error::Question)?,
    }
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Error::Question)?;
    if is_yes(&answer) { Ok(()) } else { Err(unchanged()) }
}

/// Waits without reading: a blocked read could not be ended by Ctrl-C, and in the shell it would take the
/// next line from the prompt.
async fn a_line_is_typed() -> io::Result<()> {
    loop {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => tokio::time::sleep(KEYS).await,
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn tell(text: &str) -> Result<(), Error> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).map_err(Error::Question)
}

pub(crate) fn now() -> Moment {
    Moment::of(SystemTime::now())
}

pub(crate) fn palette(options: &Options) -> Palette {
    let width = if options.wide { None } else { Some(page_width()) };
    let palette = Palette::choose(
        options.color,
        io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
        std::env::var_os("TERM").as_deref(),
    );
    palette.within(width)
}

/// Width of the terminal; without one, `COLUMNS` or 80.
fn page_width() -> usize {
    let of_terminal = terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns));
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.or_else(named).filter(|columns| *columns > 0).unwrap_or(PAGE)
}

/// A pipe closed by its reader, such as `head`, is not an error.
pub(crate) fn print(text: &[u8]) -> Result<Reader, Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
        Err(_) => Ok(Reader::Gone),
        Ok(()) => Ok(Reader::There),
    }
}
