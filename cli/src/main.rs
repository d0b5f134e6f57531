//! `maglevc`, the operator's command line for maglev-brain: one-shot commands, or a shell.
//!
//! `args` is the command tree, `commands` executes a parsed command through `client`, and `render` formats
//! its `Answer`. `once` runs one command: it queries several servers with `servers`, shows the effect of a
//! change with `preview`, follows events with `watch`, and has a live screen in `top`. `shell` reads and executes lines; `tree` describes
//! what can follow. `generate` writes completion scripts and manual pages. Only `once`, the shell and this
//! file access the process: environment, streams and exit code.

mod answer;
mod args;
mod client;
mod commands;
mod drain;
mod drain_lb;
mod error;
mod exec;
mod fleet;
mod flow;
mod generate;
mod moment;
mod once;
mod preview;
mod render;
#[cfg(test)]
mod samples;
mod servers;
mod shell;
mod style;
mod table;
mod top;
mod tree;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Cli, Command, Entry, Options};
use crate::error::Error;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = tree::for_clap().try_get_matches_from(&arguments);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            return ended(once::print(error.render().to_string().as_bytes()).map(|_| 0), false);
        }
        Err(error) => {
            let given = arguments.get(1..).unwrap_or_default();
            let explained = shell::explain(given, &error);
            let words = explained.strip_prefix("maglevc: ").unwrap_or(&explained).trim_end().to_owned();
            return ended(Err(Error::Usage(words)), wants_json(given));
        }
    };
    let code = match &cli.command {
        Some(Entry::Ask(command)) => run(command, &cli.options),
        Some(Entry::Completions { shell }) => {
            once::print(generate::completions(*shell).as_bytes()).map(|_| 0)
        }
        Some(Entry::Complete { line }) => {
            shell::complete(&cli.options, line).and_then(|words| once::print(words.as_bytes())).map(|_| 0)
        }
        Some(Entry::Man { directory }) => generate::manual(directory).map(|()| 0),
        None => shell::run(&cli.options, arguments.into_iter().skip(1).collect()),
    };
    ended(code, cli.options.json)
}

/// For a line that could not be parsed.
fn wants_json(arguments: &[OsString]) -> bool {
    let is_set = |value: String| {
        !matches!(value.to_lowercase().as_str(), "" | "0" | "f" | "false" | "n" | "no" | "off")
    };
    arguments.iter().any(|argument| argument == "--json") || std::env::var("MAGLEV_JSON").is_ok_and(is_set)
}

fn ended(code: Result<u8, Error>, json: bool) -> ExitCode {
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // If this fails too, there is nowhere left to report it.
            drop(io::stderr().write_all(error.report(json).as_bytes()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Returns the exit code.
fn run(command: &Command, options: &Options) -> Result<u8, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let code = runtime.block_on(once::run(command, options));
    // A pending name lookup would otherwise delay the exit until the resolver gives up.
    runtime.shutdown_background();
    code
}
