//! One line of a list of system calls.

use std::fmt;

use nix::libc::c_long;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// A system call, with certain arguments if only those are meant.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    name: &'static str,
    number: c_long,
    arguments: &'static [Argument],
    /// What the agent does it for, or what an intruder would.
    pub reason: &'static str,
    /// When the agent makes it.
    pub needed: Needed,
}

/// How often a system call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// In every run.
    Always,
    /// In a situation that a test cannot rely on: this one.
    Rarely(&'static str),
}

/// What an argument must be, for the entry to be about the call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    /// The bits of the mask are exactly these; of the lower 32, which is all that the kernel looks at in an `int`.
    Bits {
        /// Counted from 0.
        index: u8,
        /// Which bits count.
        mask: u32,
        /// Their values.
        value: u32,
    },
    /// A null pointer.
    Null {
        /// Counted from 0.
        index: u8,
    },
}

impl Argument {
    /// The whole argument is this number.
    pub(super) const fn is(index: u8, value: i32) -> Self {
        Self::Bits { index, mask: u32::MAX, value: value.cast_unsigned() }
    }

    /// The bits of the mask are exactly these.
    pub(super) const fn bits(index: u8, mask: i32, value: i32) -> Self {
        Self::Bits { index, mask: mask.cast_unsigned(), value: value.cast_unsigned() }
    }

    fn condition(self) -> Result<SeccompCondition, BackendError> {
        match self {
            Self::Bits { index, mask, value } => {
                let operator = SeccompCmpOp::MaskedEq(mask.into());
                SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value.into())
            }
            Self::Null { index } => {
                SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
            }
        }
    }
}

impl Entry {
    /// A call with any arguments.
    pub(super) const fn any(name: &'static str, number: c_long, reason: &'static str) -> Self {
        Self { name, number, arguments: &[], reason, needed: Needed::Always }
    }

    /// A call with all of these arguments. The name tells them.
    pub(super) const fn with(
        name: &'static str,
        number: c_long,
        arguments: &'static [Argument],
        reason: &'static str,
    ) -> Self {
        Self { name, number, arguments, reason, needed: Needed::Always }
    }

    /// The same, made only in a certain situation.
    pub(super) const fn rarely(self, when: &'static str) -> Self {
        Self { needed: Needed::Rarely(when), ..self }
    }

    /// The architecture's number of the call.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// What its arguments must be; none if they do not matter.
    pub(super) fn rule(&self) -> Result<Option<SeccompRule>, BackendError> {
        let conditions: Vec<_> =
            self.arguments.iter().map(|argument| argument.condition()).collect::<Result<_, _>>()?;
        match conditions.is_empty() {
            true => Ok(None),
            false => SeccompRule::new(conditions).map(Some),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
