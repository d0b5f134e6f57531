//! The shell's own texts. Pure.

use std::ops::Range;

use clap::Command;

use crate::shell::follow::Following;
use crate::shell::walk::Misstep;
use crate::style::printable;
use crate::table::wrapped;
use crate::tree;

/// Width of lists of names, in columns.
const WIDTH: usize = 78;

/// Longer lines are not repeated below an error, in characters.
const LONGEST_LINE: usize = 200;

const KEYS: &str = "
  Words may be shortened as long as they stay unique: `sh fr`.
  ?       lists what can follow; Tab completes words and names
  Ctrl-C  discards the line, or ends the running command
  Ctrl-D  leaves
";

/// What can follow, one line each; names in lines of their own.
pub(crate) fn following(following: &Following) -> String {
    let width = following.words.iter().map(|(word, _)| word.chars().count()).max().unwrap_or_default();
    let words = following.words.iter().map(|(word, help)| format!("  {word:width$}  {help}"));
    let names = flowed(&following.names).into_iter().map(|names| format!("    {names}"));
    let more = (following.more_names > 0).then(|| format!("    ... and {} more", following.more_names));
    let lines: Vec<_> =
        words.chain(names).chain(more).map(|line| line.trim_end().to_owned() + "\n").collect();
    if lines.is_empty() { "  nothing can follow\n".to_owned() } else { lines.concat() }
}

/// As many names per line as fit.
fn flowed(names: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + name.len() + 6 <= WIDTH => {
                line.push_str("  ");
                line.push_str(name);
            }
            _ => lines.push(name.clone()),
        }
    }
    lines
}

/// Help about one command or, at the root, about the shell.
pub(crate) fn help(command: &Command, path: &[&str], next: &Following) -> String {
    if path.is_empty() {
        return format!("{}{KEYS}", following(next));
    }
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string().replacen("maglevc ", "", 1);
    format!("{about}\n\n{usage}\n\n{}", following(next))
}

/// An unknown word, with its position.
pub(crate) fn misstep(line: &str, misstep: &Misstep) -> String {
    let Misstep { wrong, at, right, meant } = misstep;
    let right = match right.as_slice() {
        [] => String::new(),
        [only] => format!("  expected `{only}`\n"),
        several => wrapped(&format!("expected one of: {}", several.join(", ")), Some(WIDTH - 4))
            .iter()
            .enumerate()
            .map(|(index, line)| format!("{}{line}\n", if index == 0 { "  " } else { "    " }))
            .collect(),
    };
    let meant = meant.as_ref().map(|meant| format!("  did you mean `{meant}`?\n")).unwrap_or_default();
    format!("maglevc: {wrong}\n{}{meant}{right}", marked(line, at))
}

/// An incomplete line.
pub(crate) fn incomplete(line: &str, next: &Following) -> String {
    format!("maglevc: `{}` is not complete; what can follow:\n{}", printable(line.trim()), following(next))
}

/// clap's message about a value, without the usage, which `?` shows.
pub(crate) fn refused(line: &str, at: Option<Range<usize>>, error: &clap::Error) -> String {
    let whole = error.to_string();
    let first = whole.split("\n\n").next().unwrap_or_default();
    let words = first.strip_prefix("error: ").unwrap_or(first);
    let place = at.map(|at| marked(line, &at)).unwrap_or_default();
    format!("maglevc: {}\n{place}", crate::style::printable_lines(words.trim_end()))
}

/// The line with a part underlined; empty if it is too long to be helpful.
fn marked(line: &str, at: &Range<usize>) -> String {
    let (Some(before), Some(part)) = (line.get(..at.start), line.get(at.clone())) else {
        return String::new();
    };
    if line.len() > LONGEST_LINE {
        return String::new();
    }
    let width = |text: &str| printable(text).chars().count();
    format!(
        "  {}\n  {:before$}{:^>part$}\n",
        printable(line),
        "",
        "",
        before = width(before),
        part = width(part).max(1)
    )
}

/// The greeting of a shell.
pub(crate) fn greeting(server: &str, brain: Option<&str>) -> String {
    let brain = brain.map(|version| format!(", maglev-brain {}", printable(version))).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "maglevc {version} at {server}{brain}. Type `?` for completions, `{}` for commands.\n",
        tree::HELP
    )
}

#[cfg(test)]
mod tests;
