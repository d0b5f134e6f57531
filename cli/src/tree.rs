//! The shell's tree of words, and what its arguments stand for.
//!
//! The words, their order and their help are clap's; here is only what clap does not know: which argument takes
//! whose name.

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;

/// What the shell itself understands, besides what it asks maglev-brain.
pub(crate) const HELP: &str = "help";
pub(crate) const LEAVE: [&str; 2] = ["exit", "quit"];

/// Of use only to who installs the program.
const ONE_SHOT_ONLY: [&str; 2] = ["completions", "man"];

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

/// Subcommands that can be said.
pub(crate) fn words(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|word| !word.is_hide_set())
}

#[cfg(test)]
mod tests;
