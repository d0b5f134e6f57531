//! `maglevc`, the operator's command line for maglev-brain: one command, one answer.
//!
//! `args` is the tree of words, `commands` turns a parsed command into an `Answer` by way of `client`, and
//! `render` makes text of it. Only this file knows the process: its environment, streams and exit code.

mod address;
mod args;
mod client;
mod commands;
mod error;
mod moment;
mod render;
#[cfg(test)]
mod samples;
mod style;
mod table;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;

use crate::args::{Cli, Options};
use crate::client::Client;
use crate::error::Error;
use crate::moment::Moment;
use crate::style::Palette;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match answer(&cli).and_then(|(text, code)| print(&text).map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody is left to tell if this fails too.
            drop(io::stderr().write_all(error.report().as_bytes()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// What is to be printed, and the exit code.
fn answer(cli: &Cli) -> Result<(String, u8), Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let answer = runtime.block_on(async {
        let client = Client::connect(&cli.options.server, cli.options.timeout).await?;
        commands::run(&cli.command, &client).await
    });
    // A name that is still being looked up would hold the process until the resolver gives up.
    runtime.shutdown_background();
    let answer = answer?;
    let text = if cli.options.json {
        answer.json()?
    } else {
        render::text(&answer, Moment::of(SystemTime::now()), palette(&cli.options))
    };
    Ok((text, answer.exit_code()))
}

fn palette(options: &Options) -> Palette {
    Palette::choose(
        options.color,
        io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
        std::env::var_os("TERM").as_deref(),
    )
}

/// A reader that has seen enough, as `head`, is no error.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
