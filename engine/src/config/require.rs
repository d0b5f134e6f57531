//! The health checks of a backend, and how many of them must pass: `healthcheck:` and `require:`.

use std::fmt;

use super::complaint::Complaint;
use super::show;
use super::values::{kind, optional_name, scalar};
use super::yaml::{Located, Node, ScalarKind, Value};

/// Maximum number of checks of a backend: each is probed on its own.
pub(super) const MOST_CHECKS: usize = 8;

const HELP: &str = "write `all`, `any`, or a number of checks, like `2`";

/// How many of a backend's checks must be up for it to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Require {
    /// All of them.
    #[default]
    All,
    /// At least one.
    Any,
    /// At least this number.
    Count(u32),
}

impl Require {
    /// The number required out of `total`; never more than that.
    pub fn needed(self, total: usize) -> usize {
        match self {
            Self::All => total,
            Self::Any => total.min(1),
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX).min(total),
        }
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Any => f.write_str("any"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// One name, or a list of names, each with its position; none if empty.
pub(super) fn healthchecks(node: &Node) -> Result<Vec<Located<String>>, Complaint> {
    let name = |node: &Node| {
        let name = optional_name(node)?;
        Ok(name.map(|value| Located { value, place: node.place }))
    };
    let Value::List(items) = &node.value else { return Ok(name(node)?.into_iter().collect()) };
    if items.len() > MOST_CHECKS {
        return Err(Complaint::invalid(
            format!("has {} checks", items.len()),
            format!("a backend has at most {MOST_CHECKS}"),
        ));
    }
    let mut names: Vec<Located<String>> = Vec::new();
    for item in items {
        let Some(found) = name(item)? else {
            let help = "leave it out, or write the name of a check";
            return Err(Complaint::invalid("has an empty name", help));
        };
        if names.iter().any(|before| before.value == found.value) {
            let found = format!("has {} twice", show(&found.value));
            return Err(Complaint::invalid(found, "name each check once"));
        }
        names.push(found);
    }
    Ok(names)
}

/// `all`, `any` or a number. The caller compares it with the number of checks.
pub(super) fn require(node: &Node) -> Result<Require, Complaint> {
    let found = scalar(node, "a word or a number", HELP)?;
    match (found.kind, found.text.as_str()) {
        (ScalarKind::PlainText | ScalarKind::QuotedText, "all") => Ok(Require::All),
        (ScalarKind::PlainText | ScalarKind::QuotedText, "any") => Ok(Require::Any),
        (ScalarKind::Integer(count), _) => u32::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .map(Require::Count)
            .ok_or_else(|| Complaint::invalid(format!("is {count}, which is out of range"), HELP)),
        (ScalarKind::PlainText | ScalarKind::QuotedText, text) => {
            Err(Complaint::invalid(format!("is {}", show(text)), HELP))
        }
        _ => Err(Complaint::malformed(format!("must be a word or a number, not {}", kind(node)), HELP)),
    }
}
