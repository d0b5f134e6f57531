//! Command lines, and output of a daemon's own commands such as `--check`: to a terminal, a full disk, or a
//! pipe closed by its reader. The standard library's macros panic at the last two.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::builder::Resettable;

/// Writes to standard output. A closed pipe is not an error.
///
/// # Errors
/// If the text cannot be written, for example to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes to standard error. Failures are ignored: there is nowhere left to report them.
pub fn complain(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

/// Parses the command line. An environment variable that is blank counts as unset.
///
/// # Errors
/// If it is invalid, or asks for help: see [`explain`].
pub fn arguments<P: clap::Parser>() -> Result<P, clap::Error> {
    P::from_arg_matches(&without_blank_variables(P::command()).try_get_matches()?)
}

/// The same command, which treats blank variables as unset.
pub fn without_blank_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| match arg.get_env().is_some_and(is_blank) {
        true => arg.env(Resettable::Reset),
        false => arg,
    })
}

fn is_blank(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.to_string_lossy().trim().is_empty())
}

/// Writes a program's only output to standard output; returns its exit code.
pub fn answer(program: &str, text: &str) -> ExitCode {
    written(program, print(text), ExitCode::SUCCESS)
}

/// Shows help, version or a usage error; returns the exit code.
pub fn explain(program: &str, error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
    if error.use_stderr() {
        error.print().ok();
        return code;
    }
    let printed = error.print().or_else(|error| match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    });
    written(program, printed, code)
}

fn written(program: &str, written: io::Result<()>, code: ExitCode) -> ExitCode {
    match written {
        Ok(()) => code,
        Err(error) => {
            complain(&format!("{program}: cannot write to standard output: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
