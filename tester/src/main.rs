//! `maglevt`, a tester of VIPs: a screen, a report, lines of JSON or metrics over the library `maglev_tester`.
//!
//! `args` is the command line; `targets` finds the VIPs; `headless` runs a test without a screen and `screen` one with;
//! `generate` writes the manual page and the completion scripts. Only this file knows the process.

mod args;
mod generate;
mod headless;
mod screen;
mod targets;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use maglev_daemon::print;
use maglev_tester::brain::{self, Link};
use maglev_tester::metrics;
use maglev_tester::run::Tester;
use tokio::sync::watch;

use crate::args::{Arguments, Color};
use crate::headless::Ended;

/// A limit was exceeded.
const EXCEEDED: u8 = 1;
/// Nothing could be tested.
const NOT_TESTED: u8 = 3;

fn main() -> ExitCode {
    let arguments = match print::arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(error) => return print::explain("maglevt", &error),
    };
    if let Some(text) = generate::asked_for(&arguments) {
        return print::answer("maglevt", &text);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(run(&arguments));
    runtime.shutdown_background();
    match ended {
        Ok(Ended { exceeded: true, .. }) => ExitCode::from(EXCEEDED),
        Ok(Ended { has_tested: false, .. }) => {
            print::complain("maglevt: nothing was tested: no request could be made\n");
            ExitCode::from(NOT_TESTED)
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    print::complain(&format!("maglevt: {error:#}\n"));
    // A configuration that is not valid is wrong usage; all else keeps the test from being made.
    let is_refused = error.downcast_ref::<maglev_engine::config::LoadError>().is_some();
    ExitCode::from(if is_refused { 2 } else { NOT_TESTED })
}

async fn run(arguments: &Arguments) -> anyhow::Result<Ended> {
    let brain = arguments.brain();
    let targets = targets::find(arguments, brain.as_ref()).await?;
    if arguments.sweep {
        return headless::sweep(arguments, brain, targets).await;
    }
    // Bound first: nothing is tested with a canary that nobody can ask.
    let listener = match arguments.prometheus {
        Some(address) => Some(
            metrics::listen(address)
                .await
                .with_context(|| format!("cannot serve Prometheus on {address}"))?,
        ),
        None => None,
    };
    let tester = Arc::new(Tester::start(targets, &arguments.options()));
    let (link, _) = watch::channel(if brain.is_some() { Link::Connected } else { Link::None });
    if let Some(address) = brain {
        let (tester, tls, link) = (Arc::clone(&tester), arguments.tls.clone(), link.clone());
        tokio::spawn(brain::follow(address, tls, tester, link));
    }
    if let Some(listener) = listener {
        tokio::spawn(metrics::serve(listener, Arc::clone(&tester)));
    }
    if arguments.is_headless(std::io::stdout().is_terminal()) {
        headless::run(arguments, &tester, &link).await
    } else {
        screen::run(&tester, &link, is_coloured(arguments.color)).await?;
        Ok(headless::judge(arguments, &tester, &link))
    }
}

/// As no-color.org asks, an empty NO_COLOR counts as unset.
fn is_coloured(color: Color) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value != *OsStr::new(""));
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != *"dumb"),
    }
}
