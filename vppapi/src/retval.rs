//! VPP's return values and their meanings.

#[cfg(test)]
mod tests;

use std::fmt;

/// The return value of a reply: 0 for success, negative for an error.
///
/// The named codes are those that the lb plugin and the CLI were seen to return on VPP 26.10; the meanings
/// are those in the lb plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retval(pub i32);

impl Retval {
    /// Success.
    pub const OK: Self = Self(0);
    /// A failure without a specific code, such as an unknown CLI command.
    pub const UNSPECIFIED: Self = Self(-1);
    /// The VIP or application server does not exist, or the server was removed.
    pub const NO_SUCH_ENTRY: Self = Self(-6);
    /// A table length that is not a power of two.
    pub const INVALID_MEMORY_SIZE: Self = Self(-70);
    /// Another port of the prefix has another encap.
    pub const INVALID_ARGUMENT: Self = Self(-73);
    /// The VIP or server already exists, or the prefix mixes per-port VIPs with an all-port one.
    pub const VALUE_EXIST: Self = Self(-81);
    /// The server's address is not of the encap's family.
    pub const INVALID_ADDRESS_FAMILY: Self = Self(-97);

    /// Whether the request succeeded.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// VPP's name of the code, if it is one of those above.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.words().map(|(name, _)| name)
    }

    /// Meaning of the code, if it is one of those above.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        self.words().map(|(_, meaning)| meaning)
    }

    fn words(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::OK => ("OK", "success"),
            Self::UNSPECIFIED => ("UNSPECIFIED", "failed without a reason given"),
            Self::NO_SUCH_ENTRY => ("NO_SUCH_ENTRY", "no such entry: not there, or already removed"),
            Self::INVALID_MEMORY_SIZE => ("INVALID_MEMORY_SIZE", "the table length is not a power of two"),
            Self::INVALID_ARGUMENT => ("INVALID_ARGUMENT", "another port of this prefix has another encap"),
            Self::VALUE_EXIST => {
                ("VALUE_EXIST", "already exists, or the prefix mixes per-port VIPs with one of all ports")
            }
            Self::INVALID_ADDRESS_FAMILY => {
                ("INVALID_ADDRESS_FAMILY", "the server's address family does not fit the encap")
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Retval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some((name, meaning)) => write!(f, "{meaning} ({name}, {})", self.0),
            None => write!(f, "VPP error {}", self.0),
        }
    }
}
