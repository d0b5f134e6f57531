//! JSON Schema of the kinds of values. Accepts what the readers accept as text, such as a number as a name.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::values::{LONGEST_NAME, NAME_PUNCTUATION, UNITS, in_words};

/// Definitions for `$ref`.
pub(super) fn definitions() -> Value {
    let text = ["string", "number", "boolean"];
    json!({
        "text": { "type": text },
        "name": { "type": text, "pattern": format!("^{}$", name()) },
        "optional-name": { "type": text, "pattern": format!("^(?:{})?$", name()) },
        "truth-value": {
            "anyOf": [
                { "type": "boolean" },
                { "type": "string", "pattern": "^(?:[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$" },
            ],
        },
        "duration": { "type": ["string", "integer"], "pattern": format!("^{}$", duration_pattern()), "maximum": 0, "minimum": 0 },
        "address": { "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] },
        "ipv4": { "type": "string", "format": "ipv4" },
        "ipv6": { "type": "string", "format": "ipv6" },
    })
}

/// A name cannot begin with `-`, which comes last in the class so that it does not form a range.
fn name() -> String {
    let others: String = NAME_PUNCTUATION.chars().filter(|&char| char != '-').collect();
    let first = format!("A-Za-z0-9{others}");
    format!("[{first}][{first}-]{{0,{}}}", LONGEST_NAME - 1)
}

fn duration_pattern() -> String {
    let units = UNITS.map(|(name, _)| name).join("|");
    format!(r"(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:{units}))+)")
}

/// Refers to a definition.
pub(super) fn defined(kind: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{kind}"), "description": description })
}

/// Adds a default value.
pub(super) fn with_default(kind: Value, default: impl Into<Value>) -> Value {
    with(kind, "default", default)
}

/// Adds a keyword.
pub(super) fn with(mut kind: Value, word: &str, value: impl Into<Value>) -> Value {
    if let Some(words) = kind.as_object_mut() {
        words.insert(word.to_owned(), value.into());
    }
    kind
}

/// A whole number within bounds.
pub(super) fn integer(description: &str, bounds: RangeInclusive<u32>) -> Value {
    json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end(), "description": description })
}

/// A number of backends, or a percentage of them.
pub(super) fn number_or_percentage(description: &str) -> Value {
    json!({
        "type": ["integer", "string"],
        "minimum": 0,
        "pattern": "^(?:100|[1-9]?[0-9])%$",
        "description": description,
    })
}

/// A power of two, at most `most`, which is one itself.
pub(super) fn power_of_two(description: &str, most: u32) -> Value {
    let powers: Vec<u32> = (0..=most.ilog2()).map(|exponent| 1 << exponent).collect();
    json!({ "type": "integer", "enum": powers, "description": description })
}

/// A duration; its bounds are only in the description, since a pattern cannot check them.
pub(super) fn duration(
    description: &str,
    bounds: RangeInclusive<Duration>,
    default: Option<Duration>,
) -> Value {
    let bounds = format!("{} to {}", in_words(*bounds.start()), in_words(*bounds.end()));
    let kind = defined("duration", &format!("{description} From {bounds}."));
    match default {
        Some(default) => with_default(kind, in_words(default)),
        None => kind,
    }
}

/// One of several fixed words.
pub(super) fn choice(description: &str, words: &[&str]) -> Value {
    json!({ "enum": words, "description": description })
}

/// A mapping with these keys. A missing value counts as an empty mapping.
pub(super) fn section(description: &str, keys: Value) -> Value {
    json!({
        "type": ["object", "null"],
        "properties": keys,
        "additionalProperties": false,
        "description": description,
    })
}

/// A mapping whose keys are names.
pub(super) fn map(description: &str, of: Value) -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": of,
        "description": description,
    })
}

/// A list with at least one item.
pub(super) fn list(description: &str, of: Value) -> Value {
    json!({ "type": "array", "items": of, "minItems": 1, "description": description })
}
