//! One-line summary of the changes, for the log and for the operator who requested the reload.

use std::fmt;

use super::{BackendChanges, Changes, FrontendChanges, FrontendDiff, NamedChanges, Rename};

/// Maximum number of names in one list: the line stays readable even if half of 50,000 backends change.
const MOST_NAMES: usize = 5;

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = [
            self.backends.in_words(),
            self.frontends.in_words(),
            self.healthchecks.in_words("health check"),
            self.webhooks.in_words("webhook"),
            settings("`lb` of `vpp`", &self.lb),
            settings("`healthchecker`", &self.healthchecker),
            router(&self.router),
            settings("`fleet`", &self.fleet),
        ];
        let told: Vec<String> = sections.into_iter().filter(|words| !words.is_empty()).collect();
        if told.is_empty() { f.write_str("nothing changed") } else { f.write_str(&told.join("; ")) }
    }
}

impl BackendChanges {
    fn in_words(&self) -> String {
        let renamed = self.renamed.iter().map(|Rename { from, to }| format!("{from} to {to}")).collect();
        section(
            "backend",
            &[
                ("added", &self.added),
                ("removed", &self.removed),
                ("renamed", &renamed),
                ("moved to another address", &self.moved),
                ("checked differently", &self.rechecked),
                ("enabled", &self.enabled),
                ("disabled", &self.disabled),
                ("relabeled", &self.relabeled),
            ],
        )
    }
}

impl FrontendChanges {
    fn in_words(&self) -> String {
        let changed: Vec<String> = self.changed.iter().map(FrontendDiff::in_words).collect();
        section("frontend", &[("added", &self.added), ("removed", &self.removed), ("changed", &changed)])
    }
}

impl FrontendDiff {
    fn in_words(&self) -> String {
        let parts = [("VIP", self.vip), ("pools", self.pools)];
        let parts = parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part);
        let parts: Vec<&str> = parts.chain(self.settings.iter().copied()).collect();
        format!("{}: {}", self.name, parts.join(" and "))
    }
}

impl NamedChanges {
    fn in_words(&self, what: &str) -> String {
        let lists = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        section(what, &lists)
    }
}

/// `2 backends added (a, b), 1 removed (c)`: only the first number has the noun.
fn section(what: &str, lists: &[(&str, &Vec<String>)]) -> String {
    let mut words: Vec<String> = Vec::new();
    for (change, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
        let counted = match (words.is_empty(), names.len()) {
            (true, 1) => format!("1 {what}"),
            (true, count) => format!("{count} {what}s"),
            (false, count) => count.to_string(),
        };
        words.push(format!("{counted} {change} ({})", shortened(names)));
    }
    words.join(", ")
}

/// The names, or as many as fit and the number of the rest. A single excess name is shown too, since its
/// number would take the same space.
fn shortened(names: &[String]) -> String {
    match names.get(..MOST_NAMES) {
        Some(first) if names.len() > MOST_NAMES + 1 => {
            format!("{} and {} more", first.join(", "), names.len() - MOST_NAMES)
        }
        _ => names.join(", "),
    }
}

fn router(keys: &[&str]) -> String {
    if keys.is_empty() { String::new() } else { format!("{} changed", keys.join(", ")) }
}

fn settings(of: &str, keys: &[&str]) -> String {
    if keys.is_empty() { String::new() } else { format!("{} of {of} changed", keys.join(", ")) }
}
