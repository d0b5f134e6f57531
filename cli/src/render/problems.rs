//! Problems, shown before anything else.

use maglev_proto::{Problem, Severity};

use super::counted;
use crate::moment::Moment;
use crate::style::{Palette, Tone, printable};
use crate::table::wrapped;

/// One problem each: what, since when, and below it the remedy. `more` counts further ones.
pub(super) fn list(problems: &[Problem], more: u64, now: Moment, palette: Palette) -> String {
    let mut text: String = problems.iter().map(|problem| lines(problem, now, palette)).collect();
    if more > 0 {
        text += &format!("{} more: `show status` has them\n", counted(more, "problem"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

pub(super) fn tone(problems: &[Problem]) -> Tone {
    match problems.first().map(Problem::severity) {
        None => Tone::Good,
        Some(Severity::Danger) => Tone::Bad,
        Some(_) => Tone::Warning,
    }
}

fn lines(problem: &Problem, now: Moment, palette: Palette) -> String {
    let kind = match problem.kind.as_str() {
        "vpp" => "VPP",
        kind => kind,
    };
    let subject = format!("{} {}", printable(kind), printable(&problem.name));
    let since = match problem.since_unix_ms {
        0 => String::new(),
        at => format!(" ({})", Moment(at).age(now)),
    };
    let what = format!("{}{since}: {}", subject.trim_end(), printable(&problem.what));
    let width = palette.width().map(|page| page.saturating_sub(2));
    let tone = tone(std::slice::from_ref(problem));
    let mut text = String::new();
    for (index, line) in wrapped(&what, width).iter().enumerate() {
        let indent = if index == 0 { "" } else { "  " };
        text += &format!("{indent}{}\n", palette.paint(tone, line));
    }
    if !problem.remedy.is_empty() {
        text.extend(wrapped(&printable(&problem.remedy), width).iter().map(|line| format!("  {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests;
