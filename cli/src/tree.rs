//! The shell's tree of words, and what its arguments stand for.
//!
//! The words, their order and their help are clap's; here is only what clap does not know: which argument takes
//! whose name.

use clap::{Arg, Command, CommandFactory};
use maglev_daemon::print::without_blank_variables;

use crate::args::Cli;

/// What the shell itself understands, besides what it asks maglev-brain.
pub(crate) const HELP: &str = "help";
pub(crate) const LEAVE: [&str; 2] = ["exit", "quit"];

/// Of use only to who installs the program.
const ONE_SHOT_ONLY: [&str; 2] = ["completions", "man"];

/// What other programs call a command.
const SYNONYMS: [(&str, &str); 13] = [
    ("config", "config check"),
    ("configuration", "config check"),
    ("counters", "show vpp lb counters"),
    ("diff", "config check"),
    ("drain", "set backend NAME pause"),
    ("flows", "show backends"),
    ("log", "watch events log"),
    ("logs", "watch events log"),
    ("maint", "set backend NAME disable"),
    ("ready", "set backend NAME resume"),
    ("stats", "show vpp lb counters"),
    ("undrain", "set backend NAME resume"),
    ("weight", "set frontend NAME pool POOL backend NAME weight N"),
];

/// How alike a word must be to be offered instead, from 0 to 1.
const NEAR: f64 = 0.75;

/// Whose name an argument takes, or what else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of the words that clap knows of.
    Word,
    Number,
    /// One of those behind `watch events`, which come in any order.
    EventWord,
    Frontend,
    Backend,
    /// A pool of the frontend that was named before it.
    Pool,
    /// A backend in the pool that was named before it.
    Member,
    HealthCheck,
    /// A backend whose state an operator set.
    SetBackend,
    /// A frontend in which an operator set weights; its pools and backends likewise.
    SetFrontend,
    SetPool,
    SetMember,
}

/// The kind of an argument by its id, below a word that is in force for all that follows it. The first row that
/// fits holds.
const KINDS: [(&str, &str, Kind); 16] = [
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
];

/// `path` is the words before the argument. None: the argument is missing in the table.
pub(crate) fn kind(path: &[&str], arg: &Arg) -> Option<Kind> {
    if !arg.get_possible_values().is_empty() {
        return Some(Kind::Word);
    }
    let fits = |(word, id, _): &&(&str, &str, Kind)| path.contains(word) && arg.get_id() == id;
    KINDS.iter().find(fits).map(|(_, _, kind)| *kind)
}

/// All that can be said in one command.
pub(crate) fn of_program() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

/// The same for clap. Options that every command takes stand in the help of the whole only.
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

/// All that can be said in the shell.
pub(crate) fn of_shell() -> Command {
    let mut root = ONE_SHOT_ONLY
        .iter()
        .fold(Cli::command(), |tree, word| tree.mut_subcommand(word, |word| word.hide(true)));
    // An option may be given at the start of the shell, and another time on a line, which then holds.
    root = root.args_override_self(true).disable_help_subcommand(true);
    let help = Command::new(HELP).about("Tell what a command does, or what there is");
    root = root.subcommand(help);
    for word in LEAVE {
        root = root.subcommand(Command::new(word).about("Leave the shell; as Ctrl-D"));
    }
    root.build();
    root
}

/// What was meant by a word that is not among those: the name that other programs have for it, the place where it can
/// stand, or the nearest of those that can stand here.
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

/// Where this word stands in the tree, with what goes before it.
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

/// Subcommands that can be said.
pub(crate) fn words(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|word| !word.is_hide_set())
}

#[cfg(test)]
mod tests;
