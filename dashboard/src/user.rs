//! `maglev-dashboard user`: who may log in.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, bail};
use maglev_daemon::print;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::access::users::Users;
use crate::arguments::User;

pub(crate) fn list(file: &Path) -> anyhow::Result<String> {
    let users = Users::read(file)?;
    Ok(users.list().map(|(name, role)| format!("{name} {role}\n")).collect())
}

pub(crate) fn change(file: &Path, change: &User) -> anyhow::Result<()> {
    let mut users = Users::read(file)?;
    match change {
        User::Add { name, role } => users.set(name, *role, &password()?)?,
        User::Remove { name } => users.remove(name)?,
        User::List => {}
    }
    Ok(users.write(file)?)
}

/// Read from the terminal, which does not show it, or from standard input.
fn password() -> anyhow::Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        return line();
    }
    let before = tcgetattr(&input)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&input, SetArg::TCSAFLUSH, &silent)?;
    let ask = |what: &str| {
        print::complain(&format!("{what}: "));
        let given = line();
        print::complain("\n");
        given
    };
    let given = ask("Password").and_then(|first| Ok((first, ask("Once more")?)));
    tcsetattr(&input, SetArg::TCSAFLUSH, &before)?;
    let (first, second) = given?;
    if first != second {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
