//! Names of fleets and members.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Maximum length of a name.
pub const LONGEST_NAME: usize = 63;

/// The name of a fleet or a member: lower-case letters, digits and `-`, which is what users and keys of etcd, host names and
/// labels of metrics all accept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: it must have 1 to {LONGEST_NAME} lower-case letters, digits or `-`, and begin with a letter or a digit"
)]
pub struct BadName(
    /// Its start.
    pub String,
);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is not one.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits);
        match is_name && !name.starts_with('-') {
            true => Ok(Self(name.into())),
            false => Err(BadName(super::clean(name, LONGEST_NAME + 1))),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(&name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}
