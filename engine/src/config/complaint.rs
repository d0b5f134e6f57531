//! Rejections of single values.

/// Why a value is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Whether the value has the wrong type, rather than being a wrong value of the right type.
    pub(super) malformed: bool,
    /// The value found, as the rest of a sentence that begins with the key: `is 70000, which ...`.
    pub(super) found: String,
    /// The value expected.
    pub(super) help: String,
}

impl Complaint {
    /// A value of the right type that breaks a rule.
    pub(super) fn invalid(found: impl Into<String>, help: impl Into<String>) -> Complaint {
        Complaint { malformed: false, found: found.into(), help: help.into() }
    }

    /// A value of the wrong type.
    pub(super) fn malformed(found: impl Into<String>, help: impl Into<String>) -> Complaint {
        Complaint { malformed: true, found: found.into(), help: help.into() }
    }
}
