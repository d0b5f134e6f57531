//! Entry in a list of system calls.

use std::fmt;

use nix::libc::c_long;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// A system call, restricted to certain arguments if need be.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    name: &'static str,
    number: c_long,
    arguments: &'static [Argument],
    /// Why the agent, or an intruder, makes it.
    pub reason: &'static str,
    /// When the agent makes it.
    pub needed: Needed,
}

/// How often the agent makes a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// In every run.
    Always,
    /// Only in this situation, which no test can rely on.
    Rarely(&'static str),
}

/// Condition on an argument.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    /// The masked bits equal `value`. Only the lower 32 bits, since the kernel looks at no more of an `int`.
    Bits {
        /// Index of the argument, from 0.
        index: u8,
        /// The bits to compare.
        mask: u32,
        /// Their expected values.
        value: u32,
    },
    /// A null pointer.
    Null {
        /// Index of the argument, from 0.
        index: u8,
    },
}

impl Argument {
    /// The whole argument equals this number.
    pub(super) const fn is(index: u8, value: i32) -> Self {
        Self::Bits { index, mask: u32::MAX, value: value.cast_unsigned() }
    }

    /// The masked bits equal this value.
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

    /// A call with all of these arguments, which its name describes.
    pub(super) const fn with(
        name: &'static str,
        number: c_long,
        arguments: &'static [Argument],
        reason: &'static str,
    ) -> Self {
        Self { name, number, arguments, reason, needed: Needed::Always }
    }

    /// The same call, made only in this situation.
    pub(super) const fn rarely(self, when: &'static str) -> Self {
        Self { needed: Needed::Rarely(when), ..self }
    }

    /// System call number on this architecture.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// Rule on its arguments; none if any will do.
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
