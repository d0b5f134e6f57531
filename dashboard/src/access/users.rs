//! The users file: a line for each person, with name, role and the argon2 hash of the password.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use clap::ValueEnum;

/// Shortest password.
const SHORTEST: usize = 8;
/// Of a password that nobody has, so that a name that is not known takes as long as one that is.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                      2fF1S8VjFGkpLy9AUUkkkLr0cdD4zAnVvRIDJ6TfVPc";

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// See and change
    Admin,
    /// See
    Reader,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
        }
    }
}

/// What is wrong with the users file or with what shall stand in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    #[error("cannot {action} {}: {error}", path.display())]
    File { action: &'static str, path: PathBuf, error: io::Error },
    #[error("{}:{line}: {what}; a line has a name, admin or reader, and a hash as `maglev-dashboard user add` writes it", path.display())]
    Line { path: PathBuf, line: usize, what: String },
    #[error("{} may be read by everybody: chmod o-rwx it", .0.display())]
    Open(PathBuf),
    #[error("{0:?} cannot be a name: it must have 1 to 64 letters, digits or any of ._@-")]
    Name(String),
    #[error("the password has {0} characters: it must have {SHORTEST} at least")]
    Short(usize),
    #[error("there is no user {0:?}")]
    Unknown(String),
    #[error("cannot hash the password: {0}")]
    Hash(String),
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Users(BTreeMap<String, (Role, String)>);

impl Users {
    /// Reads the file. One that is not there has nobody in it.
    pub(crate) fn read(path: &Path) -> Result<Self, UsersError> {
        let failed = |action| move |error| UsersError::File { action, path: path.to_owned(), error };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(failed("read"))?,
        };
        if fs::metadata(path).map_err(failed("read"))?.permissions().mode() & 0o007 != 0 {
            return Err(UsersError::Open(path.to_owned()));
        }
        let mut users = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            users.take(line).map_err(|what| UsersError::Line {
                path: path.to_owned(),
                line: number,
                what,
            })?;
        }
        Ok(users)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(role), Some(hash), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the line does not have three words".to_owned());
        };
        if !is_name(name) {
            return Err(format!("{name:?} cannot be a name"));
        }
        let role = Role::from_str(role, false).map_err(|_| format!("unknown role {role:?}"))?;
        PasswordHash::new(hash).map_err(|error| format!("the hash of {name} cannot be read: {error}"))?;
        match self.0.insert(name.to_owned(), (role, hash.to_owned())) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is there twice")),
        }
    }

    /// Writes the file anew, in one step.
    /// On an error, the file is as before then.
    pub(crate) fn write(&self, path: &Path) -> Result<(), UsersError> {
        let failed = |error| UsersError::File { action: "write", path: path.to_owned(), error };
        let mut text =
            "# Users of maglev-dashboard: name, role, hash. Written by `maglev-dashboard user`.\n".to_owned();
        for (name, (role, hash)) in &self.0 {
            text += &format!("{name} {} {hash}\n", role.word());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        new.write_all(text.as_bytes()).map_err(failed)?;
        // Its group, which is the dashboard's, must go on to read it.
        let mode = fs::metadata(path).map_or(0o640, |metadata| metadata.permissions().mode() & 0o770);
        new.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        let group = fs::metadata(path).or_else(|_| fs::metadata(folder)).map_err(failed)?;
        std::os::unix::fs::fchown(new.as_file(), None, Some(std::os::unix::fs::MetadataExt::gid(&group)))
            .map_err(failed)?;
        new.as_file().sync_all().map_err(failed)?;
        new.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Adds a person, or gives one another password and role.
    pub(crate) fn set(&mut self, name: &str, role: Role, password: &str) -> Result<(), UsersError> {
        if !is_name(name) {
            return Err(UsersError::Name(name.to_owned()));
        }
        let length = password.chars().count();
        if length < SHORTEST {
            return Err(UsersError::Short(length));
        }
        let hash = Argon2::default().hash_password(password.as_bytes());
        let hash = hash.map_err(|error| UsersError::Hash(error.to_string()))?;
        self.0.insert(name.to_owned(), (role, hash.to_string()));
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        self.0.remove(name).map(drop).ok_or_else(|| UsersError::Unknown(name.to_owned()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.0.iter().map(|(name, (role, _))| (name.as_str(), role.word()))
    }

    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        self.0.get(name).map(|(role, _)| *role)
    }

    /// Whether a person is the same as before.
    pub(super) fn is_same(&self, before: &Self, name: &str) -> bool {
        self.0.get(name).is_some_and(|now| before.0.get(name) == Some(now))
    }

    /// Whether this is the password. Takes long.
    pub(crate) fn verify(&self, name: &str, password: &str) -> bool {
        let known = self.0.get(name);
        let hash = known.map_or(NOBODY, |(_, hash)| hash);
        Argon2::default().verify_password(password.as_bytes(), hash).is_ok() && known.is_some()
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || "._@-".contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_only_the_right_password_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        assert!(Users::read(&path).unwrap().is_empty(), "a file that is not there");
        let mut users = Users::default();
        users.set("alice", Role::Admin, "correct horse").unwrap();
        users.set("bob@example.net", Role::Reader, "battery staple").unwrap();
        users.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let read = Users::read(&path).unwrap();
        assert_eq!(read, users);
        assert!(read.verify("alice", "correct horse"));
        assert!(!read.verify("alice", "battery staple") && !read.verify("carol", "correct horse"));
        assert_eq!(read.role("bob@example.net"), Some(Role::Reader));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Users::read(&path), Err(UsersError::Open(_))));
    }

    #[test]
    fn wrong_lines_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let mut users = Users::default();
        users.set("alice", Role::Admin, "correct horse").unwrap();
        let hash = users.0["alice"].1.clone();
        for (line, words) in [
            ("alice admin".to_owned(), "three words"),
            (format!("al<ice admin {hash}"), "cannot be a name"),
            (format!("alice root {hash}"), "unknown role"),
            ("alice admin secret".to_owned(), "cannot be read"),
            (format!("alice admin {hash}\nalice admin {hash}"), "twice"),
        ] {
            fs::write(&path, format!("# comment\n{line}\n")).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = Users::read(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("users:"), "{error}");
        }
        assert!(matches!(users.set("a b", Role::Admin, "correct horse"), Err(UsersError::Name(_))));
        assert!(matches!(users.set("bob", Role::Admin, "short"), Err(UsersError::Short(5))));
        assert!(matches!(users.remove("bob"), Err(UsersError::Unknown(_))));
    }

    #[test]
    fn the_hash_of_nobody_can_be_computed() {
        PasswordHash::new(NOBODY).unwrap();
    }
}
