//! Sections of manual pages that are made of a client's command line.

use clap::Command;
use clap_mangen::roff::{Roff, bold, roman};

/// The section on the environment: the variables of options, then these with their meaning.
pub fn environment(command: &Command, more: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    let mut entry = |name: &str, meaning: &str| {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    };
    for arg in command.get_arguments() {
        if let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) {
            entry(&name.to_string_lossy(), &format!("Same as --{long}; the option takes precedence."));
        }
    }
    more.iter().for_each(|(name, meaning)| entry(name, meaning));
    roff
}

/// Each paragraph that begins with a title, of one word or two, and a colon is a section; indented lines stay
/// lines.
pub fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in help.split("\n\n") {
        let (title, body) = paragraph.split_once(':').unwrap_or(("", paragraph));
        let is_title = matches!(title.split(' ').count(), 1 | 2) && !title.is_empty();
        let body = if is_title {
            roff.control("SH", [title.to_uppercase().as_str()]);
            body.trim_start_matches(['\n', ' '])
        } else {
            roff.control("PP", []);
            paragraph
        };
        let keeps_lines = body.contains("\n  ");
        if keeps_lines {
            roff.control("nf", []);
        }
        for line in body.lines() {
            roff.text([roman(line.trim_start())]);
        }
        if keeps_lines {
            roff.control("fi", []);
        }
    }
    roff
}
