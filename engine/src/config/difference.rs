//! Differences between the texts of two configurations, key by key, as they are written.

use std::collections::BTreeMap;

use super::yaml::{self, Node, Value};

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `frontends.www.pools.primary.backends.web1.weight`. A list of mappings with names is indexed by them.
    pub key: String,
    /// The value in the old text; `None` if it does not have the key.
    pub old: Option<String>,
    /// The value in the new text; `None` if it does not have the key.
    pub new: Option<String>,
}

impl Difference {
    /// Leaves out the path of a webhook's URL: with some receivers, it is a password.
    fn conceal(&mut self) {
        if !(self.key.starts_with("webhooks.") && self.key.ends_with(".url")) {
            return;
        }
        for value in [&mut self.old, &mut self.new].into_iter().flatten() {
            let host = value.find("://").map_or(0, |scheme| scheme + 3);
            let path =
                value.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map(|path| host + path + 1);
            if let Some(path) = path.filter(|path| *path < value.len()) {
                value.truncate(path);
                value.push('…');
            }
        }
    }
}

/// All differences of two valid texts, sorted by key. `None` if one of them is not YAML.
pub fn differences(old: &str, new: &str) -> Option<Vec<Difference>> {
    let (mut old, new) = (leaves(old)?, leaves(new)?);
    let mut differences: Vec<_> = new
        .into_iter()
        .filter_map(|(key, new)| match old.remove(&key) {
            Some(old) if old == new => None,
            old => Some(Difference { key, old, new: Some(new) }),
        })
        .collect();
    differences.extend(old.into_iter().map(|(key, old)| Difference { key, old: Some(old), new: None }));
    differences.iter_mut().for_each(Difference::conceal);
    differences.sort_by(|a, b| a.key.cmp(&b.key));
    Some(differences)
}

/// All values by their keys.
fn leaves(text: &str) -> Option<BTreeMap<String, String>> {
    let tree = yaml::parse(text).ok()?;
    let mut leaves = BTreeMap::new();
    // Everything is below one key, which says nothing.
    match &tree.value {
        Value::Map(entries) if entries.len() == 1 => {
            entries.iter().for_each(|entry| walk("", &entry.node, &mut leaves));
        }
        _ => walk("", &tree, &mut leaves),
    }
    Some(leaves)
}

/// As deep as the parser accepts.
fn walk(key: &str, node: &Node, leaves: &mut BTreeMap<String, String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let mut leaf = |value: String| drop(leaves.insert(key.to_owned(), value));
    match &node.value {
        Value::Null => leaf("null".to_owned()),
        Value::Scalar(scalar) => leaf(scalar.text.clone()),
        Value::Map(entries) if entries.is_empty() => leaf("{}".to_owned()),
        Value::List(items) if items.is_empty() => leaf("[]".to_owned()),
        Value::Map(entries) => {
            entries.iter().for_each(|entry| walk(&below(&entry.key.value), &entry.node, leaves))
        }
        Value::List(items) => match items.iter().map(name).collect::<Option<Vec<_>>>() {
            Some(names) => {
                // Their order matters: it is that of preference.
                leaf(names.join(", "));
                for (item, name) in items.iter().zip(names) {
                    walk(&below(name), item, leaves);
                }
            }
            None => items
                .iter()
                .zip(0..)
                .for_each(|(item, index)| walk(&below(&format!("{index}")), item, leaves)),
        },
    }
}

/// The `name` of a mapping.
fn name(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    let name = entries.iter().find(|entry| entry.key.value == "name")?;
    let Value::Scalar(scalar) = &name.node.value else { return None };
    Some(&scalar.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "
maglev:
  backends:
    web1: { address: 10.0.0.1 }
    web2: { address: 10.0.0.2 }
  frontends:
    www:
      address: 203.0.113.1
      pools:
        - { name: primary, backends: { web1: { weight: 100 }, web2: {} } }
        - { name: spare, backends: { web2: {} } }
";

    fn told(new: &str) -> Vec<String> {
        let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let all = differences(OLD, new).unwrap().into_iter();
        all.map(|found| format!("{}: {} -> {}", found.key, dash(found.old), dash(found.new))).collect()
    }

    #[test]
    fn every_key_that_differs_is_told_with_both_values() {
        assert!(told(OLD).is_empty());
        let comments = OLD.replace("    web1:", "    # first\n    \"web1\":");
        assert!(told(&comments).is_empty());
        assert_eq!(
            told(&OLD.replace("weight: 100", "weight: 10")),
            ["frontends.www.pools.primary.backends.web1.weight: 100 -> 10"]
        );
        let new =
            OLD.replace("    web2: { address: 10.0.0.2 }", "    web3: { address: 10.0.0.3, enabled: false }");
        assert_eq!(
            told(&new),
            [
                "backends.web2.address: 10.0.0.2 -> -",
                "backends.web3.address: - -> 10.0.0.3",
                "backends.web3.enabled: - -> false",
            ]
        );
    }

    #[test]
    fn another_order_of_pools_is_a_difference() {
        let mut lines: Vec<_> = OLD.lines().collect();
        let last = lines.len() - 1;
        lines.swap(last, last - 1);
        assert_eq!(told(&lines.join("\n")), ["frontends.www.pools: primary, spare -> spare, primary"]);
    }

    #[test]
    fn text_that_is_not_yaml_has_no_differences() {
        assert_eq!(differences(OLD, "maglev: ["), None);
    }
}
