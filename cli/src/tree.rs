//! The shell's command tree, and the kinds of its arguments.
//!
//! Words, order and help are clap's; this adds what clap does not know: which names an argument accepts.

use clap::{Arg, Command, CommandFactory};
use maglev_daemon::print::without_blank_variables;

use crate::args::Cli;
use crate::args::check::OF_CHECK;
use crate::args::drain::OF_DRAIN;
use crate::args::drain_lb::OF_DRAIN_LB;
use crate::args::fleet::OF_PLAN;
use crate::args::history::OF_HISTORY;
use crate::args::remark::{OF_BACKEND, OF_WEIGHT};

/// Commands of the shell itself.
pub(crate) const HELP: &str = "help";
pub(crate) const LEAVE: [&str; 2] = ["exit", "quit"];

/// Only useful when installing the program.
const ONE_SHOT_ONLY: [&str; 2] = ["completions", "man"];

/// Names of commands in other programs.
const SYNONYMS: [(&str, &str); 17] = [
    ("config", "config check"),
    ("configuration", "config check"),
    ("counters", "show vpp lb counters"),
    ("diff", "config diff"),
    ("drain", "drain backend NAME"),
    ("flows", "show backends"),
    ("log", "watch events log"),
    ("logs", "watch events log"),
    ("maint", "set backend NAME disable"),
    ("ping", "check backend NAME via tunnel"),
    ("probe", "check backend NAME"),
    ("ready", "set backend NAME resume"),
    ("reload", "config reload"),
    ("rollback", "config rollback"),
    ("stats", "show vpp lb counters"),
    ("undrain", "undrain backend NAME"),
    ("weight", "set frontend NAME pool POOL backend NAME weight N"),
];

/// Minimum similarity of a suggested word, from 0 to 1.
const NEAR: f64 = 0.75;

/// Kind of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of the words that clap knows.
    Word,
    Number,
    /// A word after `watch events`, in any order.
    EventWord,
    /// A word at the end of a change, in any order: one of these, or the value of one.
    RemarkWord(&'static [&'static str]),
    Frontend,
    Backend,
    /// A pool of the frontend named before.
    Pool,
    /// A backend in the pool named before.
    Member,
    HealthCheck,
    /// A backend with an overridden state.
    SetBackend,
    /// A frontend with overridden weights; likewise its pools and backends.
    SetFrontend,
    SetPool,
    SetMember,
}

/// Kinds of arguments by id, below a word that applies to everything after it. The first matching row counts.
const KINDS: [(&str, &str, Kind); 40] = [
    ("fleet", "words", Kind::RemarkWord(OF_PLAN)),
    ("fleet", "file", Kind::Number),
    ("fleet", "old", Kind::Number),
    ("fleet", "new", Kind::Number),
    ("fleet", "name", Kind::Number),
    ("fleet", "text", Kind::Number),
    ("fleet", "frontend", Kind::Frontend),
    ("override", "name", Kind::SetBackend),
    ("override", "frontend", Kind::SetFrontend),
    ("override", "pool", Kind::SetPool),
    ("override", "backend", Kind::SetMember),
    ("frontends", "name", Kind::Frontend),
    ("frontend", "name", Kind::Frontend),
    ("backends", "name", Kind::Backend),
    ("backend", "name", Kind::Backend),
    ("healthchecks", "name", Kind::HealthCheck),
    ("frontend", "frontend", Kind::Frontend),
    ("frontend", "pool", Kind::Pool),
    ("frontend", "backend", Kind::Member),
    ("frontend", "weight", Kind::Number),
    ("state", "frontend", Kind::Frontend),
    ("counters", "frontend", Kind::Frontend),
    ("events", "words", Kind::EventWord),
    ("history", "words", Kind::RemarkWord(OF_HISTORY)),
    ("events", "exec", Kind::Number),
    ("check", "words", Kind::RemarkWord(OF_CHECK)),
    ("lb", "words", Kind::RemarkWord(OF_DRAIN_LB)),
    ("drain", "words", Kind::RemarkWord(OF_DRAIN)),
    ("backend", "words", Kind::RemarkWord(OF_BACKEND)),
    ("backends", "words", Kind::RemarkWord(OF_BACKEND)),
    ("backends", "value", Kind::Number),
    ("backends", "label", Kind::Number),
    ("host", "address", Kind::Number),
    ("frontend", "words", Kind::RemarkWord(OF_WEIGHT)),
    ("reload", "within", Kind::Number),
    ("rollback", "number", Kind::Number),
    ("flow", "client", Kind::Number),
    ("flow", "vip", Kind::Number),
    ("top", "num", Kind::Number),
    ("top", "interval", Kind::Number),
];

/// `path` has the words before the argument. `None` if the argument is missing in the table.
pub(crate) fn kind(path: &[&str], arg: &Arg) -> Option<Kind> {
    if !arg.get_possible_values().is_empty() {
        return Some(Kind::Word);
    }
    let fits = |(word, id, _): &&(&str, &str, Kind)| path.contains(word) && arg.get_id() == id;
    KINDS.iter().find(fits).map(|(_, _, kind)| *kind)
}

/// The program's command tree.
pub(crate) fn of_program() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

/// The same for clap. Global options are shown only in the top-level help.
pub(crate) fn for_clap() -> Command {
    let mut root = without_blank_variables(of_program());
    root.get_subcommands_mut().for_each(without_globals);
    root
}

fn without_globals(command: &mut Command) {
    let hidden = std::mem::take(command).mut_args(|arg| {
        let is_global = arg.is_global_set();
        arg.hide(is_global)
    });
    *command = hidden.after_help("Options of every command: see `maglevc --help`.");
    command.get_subcommands_mut().for_each(without_globals);
}

/// The shell's command tree.
pub(crate) fn of_shell() -> Command {
    let mut root = ONE_SHOT_ONLY
        .iter()
        .fold(Cli::command(), |tree, word| tree.mut_subcommand(word, |word| word.hide(true)));
    // An option given to the program may be given again on a line, which then takes precedence.
    root = root.args_override_self(true).disable_help_subcommand(true);
    let help = Command::new(HELP).about("Show help for a command, or list all commands");
    root = root.subcommand(help);
    for word in LEAVE {
        root = root.subcommand(Command::new(word).about("Leave the shell (same as Ctrl-D)"));
    }
    root.build();
    root
}

/// The probable meaning of an unknown word: another program's name for a command, a command elsewhere in the
/// tree, or the most similar word here.
pub(crate) fn meant(root: &Command, typed: &str, here: &[String]) -> Option<String> {
    let synonym = SYNONYMS.iter().find(|(name, _)| *name == typed).map(|(_, command)| (*command).to_owned());
    let likeness =
        |word: &String| strsim::jaro_winkler(word.trim_start_matches('-'), typed.trim_start_matches('-'));
    let nearest = || {
        let near = here.iter().map(|word| (likeness(word), word)).filter(|(likeness, _)| *likeness >= NEAR);
        near.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, word)| word.clone())
    };
    synonym.or_else(|| elsewhere(root, typed)).or_else(nearest)
}

/// Where this word occurs in the tree, with the words before it.
fn elsewhere(command: &Command, typed: &str) -> Option<String> {
    words(command).find_map(|word| {
        let name = word.get_name();
        if name == typed {
            return Some(name.to_owned());
        }
        let argument = || {
            let mut names = Vec::new();
            for arg in word.get_positionals() {
                if arg.get_possible_values().iter().any(|value| value.get_name() == typed) {
                    names.push(typed.to_owned());
                    return Some(names.join(" "));
                }
                names.push(arg.get_id().as_str().to_uppercase());
            }
            None
        };
        let below = elsewhere(word, typed).or_else(argument)?;
        Some(format!("{name} {below}"))
    })
}

/// Visible subcommands.
pub(crate) fn words(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|word| !word.is_hide_set())
}

#[cfg(test)]
mod tests;
