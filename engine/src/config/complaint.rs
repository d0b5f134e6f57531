//! Refusals of single values.

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Whether it is the wrong kind of value, rather than a wrong value of the right kind.
    pub(super) malformed: bool,
    /// What was found, as the rest of a sentence that begins with the key: `is 70000, which ...`.
    pub(super) found: String,
    /// What would be right.
    pub(super) help: String,
}

impl Complaint {
    /// A value of the right kind that breaks a rule.
    pub(super) fn invalid(found: impl Into<String>, help: impl Into<String>) -> Complaint {
        Complaint { malformed: false, found: found.into(), help: help.into() }
    }

    /// A value of the wrong kind.
    pub(super) fn malformed(found: impl Into<String>, help: impl Into<String>) -> Complaint {
        Complaint { malformed: true, found: found.into(), help: help.into() }
    }
}
