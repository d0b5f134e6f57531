//! Generates completion scripts and manual pages from the command tree.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use maglev_proto::client::manual;

use crate::args::{Cli, ScriptFor};
use crate::error::Error;

const NAME: &str = "maglevc";

/// Shown in the header of each page.
const MANUAL: &str = "Maglev load balancer";

/// The completion script of a shell, which asks maglevc for words and live names.
pub(crate) const fn completions(shell: ScriptFor) -> &'static str {
    match shell {
        ScriptFor::Bash => BASH,
        ScriptFor::Zsh => ZSH,
        ScriptFor::Fish => FISH,
    }
}

/// Bash also splits words at colons, and expects only the part after the last one.
const BASH: &str = r#"_maglevc() {
    local line=${COMP_LINE:0:COMP_POINT} word
    local before=${line##* } current=${COMP_WORDS[COMP_CWORD]}
    [[ $before == *"$current" ]] && before=${before%"$current"} || before=
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("${word#"$before"}")
    done < <(maglevc complete -- "${line#* }" 2>/dev/null)
}
complete -o default -F _maglevc maglevc
"#;

const ZSH: &str = r#"#compdef maglevc
_maglevc() {
    local -a found
    found=(${(f)"$(maglevc complete -- "${(j: :)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = _maglevc ]; then _maglevc "$@"; else compdef _maglevc maglevc; fi
"#;

const FISH: &str = r#"complete -c maglevc -f -a '(maglevc complete -- (string join -- " " (commandline -opc)[2..] (commandline -ct)) 2>/dev/null)'
complete -c maglevc -l tls-ca -l tls-cert -l tls-key -r -F
"#;

/// Writes `maglevc.1`, and `maglevc-show.1`, `maglevc-show-frontends.1` and so on for each word.
pub(crate) fn manual(directory: &Path) -> Result<(), Error> {
    for (name, page) in pages()? {
        let path = directory.join(name);
        fs::write(&path, page).map_err(|error| at(&path, &error))?;
    }
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> Error {
    Error::Output(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// File names and contents of the pages.
fn pages() -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut left = vec![root];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|word| !word.is_hide_set()).cloned());
        pages.push(page(command).map_err(Error::Output)?);
    }
    Ok(pages)
}

fn page(mut command: Command) -> io::Result<(String, Vec<u8>)> {
    let usage = command.render_usage().to_string();
    let more = command.get_after_help().map(ToString::to_string);
    let has_words = command.get_subcommands().any(|word| !word.is_hide_set());
    let environment = manual::environment(&command, &ENVIRONMENT);
    let man = Man::new(command).manual(MANUAL).source(concat!("maglevc ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis(&usage).to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_words {
        man.render_subcommands_section(&mut text)?;
    }
    match more {
        Some(more) => {
            environment.to_writer(&mut text)?;
            manual::sections(&more).to_writer(&mut text)?;
        }
        None => see_also().to_writer(&mut text)?,
    }
    Ok((man.get_filename(), text))
}

/// The usage line from the help, with the words between the names, which clap_mangen's own lacks.
fn synopsis(usage: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.strip_prefix("Usage: ").unwrap_or(usage))]);
    roff
}

/// What the environment says besides the options.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("NO_COLOR", "If it is set and not empty, nothing is coloured unless --color asks for it."),
    (
        "XDG_STATE_HOME",
        "Where the shell keeps its history: in maglevc/history there. Unless it is set: ~/.local/state.",
    ),
];

/// Exit codes, environment and examples are on one page only.
fn see_also() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.control("BR", [NAME, "(1)"]);
    roff.text([roman("for exit codes, environment and examples.")]);
    roff
}

#[cfg(test)]
mod tests;
