//! Typed YAML values with their positions. Parses into a tree first, so that all mistakes of a file are
//! reported at once: a typed deserializer stops at the first unknown key or wrong type.

use std::fmt;

use maglev_protocol::{Prefix, printable};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Maximum number of characters of a line that are shown.
const MOST_SHOWN: usize = 160;

/// A mistake and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Counted from 1.
    pub(super) line: u64,
    /// Characters, counted from 1.
    pub(super) column: u64,
    /// What was found, and what is expected.
    message: String,
}

impl Mistake {
    pub(super) fn at<T>(place: &Spanned<T>, message: impl Into<String>) -> Self {
        Self { line: place.defined.line(), column: place.defined.column(), message: message.into() }
    }

    /// Renders the mistake with its line, as a compiler does.
    pub(super) fn render(&self, source: &str, text: &str) -> String {
        let Self { line, column, message } = self;
        let head = format!("{source}:{line}:{column}: error: {message}");
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(shown) = text.lines().nth(index) else { return head };
        let (number, before) = (line.to_string(), usize::try_from(column.saturating_sub(1)).unwrap_or(0));
        if before >= MOST_SHOWN {
            return head;
        }
        let (shown, gutter) = (printable(shown, MOST_SHOWN), " ".repeat(number.len()));
        format!("{head}\n{gutter} |\n{number} | {shown}\n{gutter} | {}^", " ".repeat(before))
    }
}

/// A YAML value.
#[derive(Debug)]
pub(super) enum Value {
    Bool(bool),
    Integer(i128),
    Text(String),
    List(Vec<Spanned<Value>>),
    Map(Vec<(Spanned<String>, Spanned<Value>)>),
    /// Described in words.
    Other(&'static str),
}

impl Value {
    fn kind(&self) -> String {
        match self {
            Self::Bool(value) => format!("`{value}`"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Text(text) => format!("the text `{}`", printable(text, 60)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other("nothing"))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("a number with a fraction"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

/// The values of a mapping, by key.
#[derive(Debug, Default)]
pub(super) struct Section(Vec<(Spanned<String>, Spanned<Value>)>);

impl Section {
    /// Interprets a value as a mapping with no keys but these.
    pub(super) fn of(value: Spanned<Value>, what: &str, keys: &[&str], mistakes: &mut Vec<Mistake>) -> Self {
        let Value::Map(entries) = value.value else {
            let found = value.value.kind();
            mistakes.push(Mistake::at(
                &value,
                format!("{what} must be a mapping of {}, not {found}", list(keys)),
            ));
            return Self::default();
        };
        for (key, _) in entries.iter().filter(|(key, _)| !keys.contains(&key.value.as_str())) {
            let found = printable(&key.value, 60);
            mistakes.push(Mistake::at(
                key,
                format!("unknown key `{found}` in {what}; expected one of {}", list(keys)),
            ));
        }
        Self(entries)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Spanned<Value>> {
        let index = self.0.iter().position(|(name, _)| name.value == key)?;
        Some(self.0.swap_remove(index).1)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name.value == key)
    }

    pub(super) fn section(&mut self, key: &str, keys: &[&str], mistakes: &mut Vec<Mistake>) -> Self {
        self.take(key).map(|value| Self::of(value, &format!("`{key}`"), keys, mistakes)).unwrap_or_default()
    }

    pub(super) fn number(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Spanned<u32>> {
        number(key, self.take(key)?, mistakes)
    }

    pub(super) fn truth(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        let value = self.take(key)?;
        if let Value::Bool(truth) = value.value {
            return Some(truth);
        }
        mistakes
            .push(Mistake::at(&value, format!("`{key}` must be true or false, not {}", value.value.kind())));
        None
    }

    /// A range, given as two numbers.
    pub(super) fn range(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Spanned<(u32, u32)>> {
        let value = self.take(key)?;
        let (referenced, defined) = (value.referenced, value.defined);
        match value.value {
            Value::List(items) if items.len() == 2 => {
                let mut numbers = items.into_iter().map(|item| number(key, item, mistakes));
                let (first, second) = (numbers.next()??.value, numbers.next()??.value);
                Some(Spanned::new((first, second), referenced, defined))
            }
            other => {
                let message = format!("`{key}` must be a list of two numbers, not {}", other.kind());
                mistakes.push(Mistake { line: defined.line(), column: defined.column(), message });
                None
            }
        }
    }

    /// A list of prefixes; `None` if the key is missing.
    pub(super) fn prefixes(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Vec<Prefix>> {
        let value = self.take(key)?;
        let Value::List(items) = value.value else {
            let found = value.value.kind();
            mistakes.push(Mistake::at(&value, format!("`{key}` must be a list of prefixes, not {found}")));
            return None;
        };
        Some(
            items
                .into_iter()
                .filter_map(|item| prefix(item).map_err(|mistake| mistakes.push(mistake)).ok())
                .collect(),
        )
    }
}

fn number(key: &str, value: Spanned<Value>, mistakes: &mut Vec<Mistake>) -> Option<Spanned<u32>> {
    if let Value::Integer(number) = value.value
        && let Ok(number) = u32::try_from(number)
    {
        return Some(Spanned::new(number, value.referenced, value.defined));
    }
    let message = format!("`{key}` must be a whole number, not {}", value.value.kind());
    mistakes.push(Mistake::at(&value, message));
    None
}

fn prefix(value: Spanned<Value>) -> Result<Prefix, Mistake> {
    let right = "a prefix such as 192.0.2.0/24 or 2001:db8::/32";
    let Value::Text(found) = &value.value else {
        return Err(Mistake::at(&value, format!("{} is not a prefix: write {right}", value.value.kind())));
    };
    let found = printable(found, 60);
    let parsed = match found.split_once('/') {
        Some((address, length)) => address.parse().ok().zip(length.parse().ok()),
        None => None,
    };
    let Some((address, length)) = parsed else {
        return Err(Mistake::at(&value, format!("`{found}` is not a prefix: write {right}")));
    };
    let prefix = Prefix { address, length };
    if !prefix.is_valid() {
        return Err(Mistake::at(
            &value,
            format!("`{found}` has host bits set, or a length beyond its family's: write {right}"),
        ));
    }
    Ok(prefix)
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
