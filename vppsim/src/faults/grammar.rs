//! Text form of faults: one command a line, words separated by spaces.
//!
//! `ACTION [MESSAGE] [client NAME] [vip ADDRESS] [port PORT] [as ADDRESS] [nth N | from N | count N |
//! always]`, where the parts after the action may be in any order, each at most once. A parsed command is
//! printed in a form that parses to the same command.

mod forms;
mod print;
mod words;

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

pub use self::forms::{FORMS, Form, names};
use self::words::Words;
use super::{Action, Fault, FaultNumber, Filter, Restart, StatsFault, Window, can_fail};
use crate::api::{LB_APIS, request_names};
use crate::stats::Damage;

/// Maximum delay or pause. A longer one is probably meant as a hang.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Maximum number of worker threads.
pub const MOST_WORKERS: u32 = 255;

/// Sizes of the main heap that are accepted; VPP does not start with much less.
const HEAP_SIZES: RangeInclusive<u64> = 64 << 20..=1 << 40;
const SIZE: &str = "a size such as 512M, from 64M to 1024G";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Set a fault.
    Set(Fault),
    /// VPP hangs from now on.
    Hang,
    /// VPP goes on after a hang.
    Resume,
    /// VPP dies and starts anew.
    Restart(Restart),
    /// Something is done to the stats segment.
    Stats(StatsFault),
    /// Wait until a fault has befallen a request.
    Wait(FaultNumber),
    /// End one fault, or all there are and the hang too.
    Clear(Option<FaultNumber>),
    /// Tell what is set.
    List,
    /// Tell the number of rebuilds of new-flow tables.
    Rebuilds,
    /// Tell all commands, or the form of one.
    Help(Option<&'static Form>),
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A word that does not fit.
    #[error("{found:?} found, expected {expected}")]
    Unexpected {
        /// The word.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// The line ended early.
    #[error("the line ends where {0} is expected")]
    Missing(String),
    /// A part was given twice.
    #[error("{0:?} is given twice, expected once at most")]
    Twice(&'static str),
    /// The message cannot fail.
    #[error("{0} has no return value to fail with; lose or mute it")]
    CannotFail(&'static str),
}

/// Words of `break-stats`.
const DAMAGES: &[(&str, Option<Damage>)] = &[
    ("version", Some(Damage::Version)),
    ("directory", Some(Damage::Directory)),
    ("pointers", Some(Damage::Pointers)),
    ("lengths", Some(Damage::Lengths)),
    ("off", None),
];

impl Command {
    /// Whether it sets a fault, rather than ending or listing some.
    pub fn sets_fault(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Hang | Self::Stats(_))
    }
}

impl FromStr for Command {
    type Err = GrammarError;

    fn from_str(line: &str) -> Result<Self, GrammarError> {
        let mut words = Words::new(line);
        let command = match words.next(format_args!("a command of {}", names()))? {
            "delay" => {
                let time = words.time()?;
                Self::Set(limited(Action::Delay(time), &mut words)?)
            }
            "lose" => Self::Set(limited(Action::Lose, &mut words)?),
            "mute" => Self::Set(limited(Action::Mute, &mut words)?),
            "fail" => {
                words.keyword("retval")?;
                let code = words.number("a return value from -128 to -1", -128..=-1)?;
                Self::Set(limited(Action::Fail(code), &mut words)?)
            }
            "close" => Self::Set(limited(Action::Close, &mut words)?),
            "cut" => Self::Set(limited(Action::Cut, &mut words)?),
            "hang" if words.is_at_end() => Self::Hang,
            "hang" => Self::Set(limited(Action::Hang, &mut words)?),
            "restart" => {
                let restart = restart(&mut words)?;
                match words.is_at_end() {
                    true => Self::Restart(restart),
                    false => Self::Set(limited(Action::Restart(restart), &mut words)?),
                }
            }
            "busy-stats" => Self::Stats(StatsFault::Busy(words.choice(&[("on", true), ("off", false)])?)),
            "churn-stats" if words.take_if("off") => Self::Stats(StatsFault::Churn(None)),
            "churn-stats" => Self::Stats(StatsFault::Churn(Some(words.period()?))),
            "grow-stats" => Self::Stats(StatsFault::Grow(
                words.number("a number of entries from 1 to 10000", 1..=10_000)?,
            )),
            "break-stats" => Self::Stats(StatsFault::Break(words.choice(DAMAGES)?)),
            "resume" => Self::Resume,
            "wait" => Self::Wait(words.number("the number of a fault", 1..=u64::MAX)?),
            "clear" if words.is_at_end() => Self::Clear(None),
            "clear" => Self::Clear(Some(words.number("the number of a fault", 1..=u64::MAX)?)),
            "list" => Self::List,
            "rebuilds" => Self::Rebuilds,
            "help" if words.is_at_end() => Self::Help(None),
            "help" => {
                let name = words.next("a command")?;
                Self::Help(Some(Form::find(name).ok_or_else(|| unexpected(name, &names()))?))
            }
            // What one is tempted to write.
            "drop" => {
                return Err(unexpected(
                    "drop",
                    "lose (not carried out, not answered) or mute (carried out, not answered)",
                ));
            }
            other => return Err(unexpected(other, &format!("one of {}", names()))),
        };
        words.end()?;
        Ok(command)
    }
}

/// Parses the size of a heap: a number of bytes, or of K, M or G (powers of 1024).
///
/// # Errors
/// When the word is not a size from 64M to 1024G.
pub fn size(word: &str) -> Result<u64, GrammarError> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1_u64 << 30)];
    let unit = units.iter().find_map(|(name, unit)| Some((word.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.unwrap_or((word, 1));
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| HEAP_SIZES.contains(size)).ok_or_else(|| unexpected(word, SIZE))
}

fn unexpected(found: &str, expected: &str) -> GrammarError {
    GrammarError::Unexpected { found: found.to_owned(), expected: expected.to_owned() }
}

fn restart(words: &mut Words<'_>) -> Result<Restart, GrammarError> {
    let (mut empty_for, mut lb_api, mut heap_size, mut workers) = (None, None, None, None);
    loop {
        if words.take_if("empty-for") {
            put(&mut empty_for, "empty-for", words.time()?)?;
        } else if words.take_if("lb-api") {
            let word = words.next(LB_APIS)?;
            put(&mut lb_api, "lb-api", word.parse().map_err(|_| unexpected(word, LB_APIS))?)?;
        } else if words.take_if("heap-size") {
            put(&mut heap_size, "heap-size", size(words.next(SIZE)?)?)?;
        } else if words.take_if("workers") {
            put(
                &mut workers,
                "workers",
                words.number("a number of threads from 0 to 255", 0..=MOST_WORKERS)?,
            )?;
        } else {
            return Ok(Restart { empty_for: empty_for.unwrap_or_default(), lb_api, heap_size, workers });
        }
    }
}

/// An action with its filter and window: all the rest of the line.
fn limited(action: Action, words: &mut Words<'_>) -> Result<Fault, GrammarError> {
    let mut filter = Filter::default();
    let mut window = None;
    const COUNT: &str = "a count from 1 on";
    while let Some(word) = words.take() {
        match word {
            "client" => put(&mut filter.client, "client", words.next("a client's name")?.to_owned())?,
            "vip" => put(&mut filter.vip, "vip", words.address("the VIP's address")?)?,
            "as" => put(&mut filter.server, "as", words.address("the application server's address")?)?,
            "port" => put(&mut filter.port, "port", words.number("a port from 0 to 65535", 0..=u16::MAX)?)?,
            "nth" => put(&mut window, "nth", Window::nth(words.number(COUNT, 1..=u64::MAX)?))?,
            "from" => {
                let first = words.number(COUNT, 1..=u64::MAX)?;
                put(&mut window, "from", Window { first, last: None })?;
            }
            "count" => {
                let last = words.number(COUNT, 1..=u64::MAX)?;
                put(&mut window, "count", Window { first: 1, last: Some(last) })?;
            }
            "always" => put(&mut window, "always", Window::ALWAYS)?,
            other => put(&mut filter.message, "MESSAGE", message(other)?)?,
        }
    }
    match (&action, filter.message) {
        (Action::Fail(_), Some(name)) if !can_fail(name) => Err(GrammarError::CannotFail(name)),
        _ => Ok(Fault { action, filter, window: window.unwrap_or(Window::ALWAYS) }),
    }
}

fn put<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), GrammarError> {
    match place.replace(value) {
        Some(_) => Err(GrammarError::Twice(name)),
        None => Ok(()),
    }
}

fn message(word: &str) -> Result<&'static str, GrammarError> {
    request_names().find(|name| *name == word).ok_or_else(|| {
        let names = request_names().collect::<Vec<_>>().join(", ");
        unexpected(
            word,
            &format!(
                "client, vip, port, as, nth, from, count, always, or a message without its CRC: {names}"
            ),
        )
    })
}
