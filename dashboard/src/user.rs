//! `maglev-dashboard user`: who may log in.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, bail};

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
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).context("cannot read the password")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ")?;
    if first != rpassword::prompt_password("Once more: ")? {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}
