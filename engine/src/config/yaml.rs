//! Parses YAML into a tree of nodes with positions. Only this module uses the YAML library.
//!
//! A tree instead of a typed structure, so that all mistakes of a file are reported at once: a typed
//! deserializer stops at the first unknown key or wrong type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

/// A position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) line: usize,
    /// Characters, counted from 1.
    pub(super) column: usize,
    /// In characters, at least 1.
    pub(super) width: usize,
    /// The line of the alias or merge that copies it, if that is another one.
    pub(super) used_on: Option<usize>,
}

impl Place {
    /// The first character of the file.
    pub(super) const START: Place = Place { line: 1, column: 1, width: 1, used_on: None };
}

/// A value and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One value of the tree.
pub(super) type Node = Located<Value>;

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar: its spelling, and its type in YAML.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    /// As spelled in the file if it is a number or boolean (`080`); otherwise without quotes and escapes.
    pub(super) text: String,
    pub(super) kind: ScalarKind,
}

/// Type of a scalar in YAML.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ScalarKind {
    PlainText,
    QuotedText,
    Bool(bool),
    Integer(i128),
    Float,
}

/// One key of a mapping, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Located<String>,
    pub(super) node: Node,
}

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<Node, Refusal> {
    // The library accepts several `<<` in one mapping. Treated as an ordinary key, a second one is refused.
    if text.matches(MERGE).nth(1).is_some()
        && let Err(error) = read::<IgnoredAny>(text, DuplicateKeyPolicy::Error, MergeKeyPolicy::AsOrdinary)
        && is_merge_twice(error.without_snippet())
    {
        return Err(refusal(text, error.without_snippet()));
    }
    match read::<Spanned<Raw>>(text, DuplicateKeyPolicy::Error, MergeKeyPolicy::Merge) {
        Ok(tree) => Ok(tree.into_node(text)),
        Err(error) => Err(refusal(text, error.without_snippet())),
    }
}

/// The key that merges a mapping into another.
const MERGE: &str = "<<";

fn is_merge_twice(error: &Error) -> bool {
    match error {
        Error::AliasError { error, .. } => is_merge_twice(error),
        error => matches!(error, Error::DuplicateMappingKey { key: Some(key), .. } if key == MERGE),
    }
}

fn read<T: DeserializeOwned>(
    text: &str,
    duplicates: DuplicateKeyPolicy,
    merge_keys: MergeKeyPolicy,
) -> Result<T, Error> {
    let mut options = options();
    options.duplicate_keys = duplicates;
    options.merge_keys = merge_keys;
    serde_saphyr::from_str_with_options(text, options)
}

/// Limits that accept 50,000 backends and as many aliases, but reject a text that expands excessively:
/// aliases may expand to the library's default of a million events. A configuration is 8 levels deep; a level
/// takes up to 45 KiB of stack (measured, unoptimized), and our threads have 2 MiB.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_nodes: 5_000_000,
            max_events: 10_000_000,
            max_aliases: 200_000,
            max_merge_keys: 200_000,
            enforce_alias_anchor_ratio: false,
        },
        emit_comments: false,
        with_snippet: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    }
}

#[derive(Debug)]
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Converts the library's spans to our positions.
trait IntoNode {
    fn into_node(self, text: &str) -> Node;
}

impl IntoNode for Spanned<Raw> {
    fn into_node(self, text: &str) -> Node {
        let spelling = spelling(text, self.defined);
        let scalar = |kind, decoded: String| match (kind, spelling) {
            (ScalarKind::PlainText, Some(spelled)) if spelled.starts_with(['"', '\'']) => {
                Value::Scalar(Scalar { text: decoded, kind: ScalarKind::QuotedText })
            }
            (ScalarKind::PlainText, _) | (_, None) => Value::Scalar(Scalar { text: decoded, kind }),
            // With an explicit tag, a number may be quoted: `!!int "80"`.
            (_, Some(spelled)) => {
                Value::Scalar(Scalar { text: spelled.trim_matches(['"', '\'']).to_owned(), kind })
            }
        };
        let mut place = place(self.defined, self.referenced);
        let value = match self.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => scalar(ScalarKind::Bool(value), value.to_string()),
            Raw::Integer(value) => scalar(ScalarKind::Integer(value), value.to_string()),
            Raw::Float(value) => scalar(ScalarKind::Float, value.to_string()),
            Raw::Text(value) => scalar(ScalarKind::PlainText, value),
            Raw::List(items) => {
                place.width = 1;
                Value::List(items.into_iter().map(|item| item.into_node(text)).collect())
            }
            Raw::Map(entries) => {
                place.width = 1;
                Value::Map(entries.into_iter().map(|entry| Entry::new(entry, text)).collect())
            }
        };
        Node { value, place }
    }
}

impl Entry {
    fn new((key, node): (Spanned<String>, Spanned<Raw>), text: &str) -> Entry {
        let place = place(key.defined, key.referenced);
        Entry { key: Located { value: key.value, place }, node: node.into_node(text) }
    }
}

/// The characters of a value in the file, unless it spans lines or has none of its own.
fn spelling(text: &str, location: Location) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let spelled = text.get(start..end)?;
    (!spelled.is_empty() && !spelled.contains(['\n', '\r'])).then_some(spelled)
}

fn place(defined: Location, referenced: Location) -> Place {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
    let line = number(defined.line());
    let used_on = number(referenced.line());
    Place {
        line,
        column: number(defined.column()),
        width: number(defined.span().len()),
        used_on: (used_on != line).then_some(used_on),
    }
}

/// Rewords the library's error where we can say what is expected.
fn refusal(text: &str, error: &Error) -> Refusal {
    if let Error::AliasError { error, .. } = error {
        return refusal(text, error);
    }
    let at = error.location().map_or(Place::START, |location| place(location, location));
    let (message, help): (Cow<'_, str>, Option<String>) = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            let first = first_of(text, key, at);
            let keep = match key.as_str() {
                MERGE => "merge both with one, like `<<: [*one, *other]`",
                _ => "keep one of the two",
            };
            let help = first.map_or_else(
                || keep.to_owned(),
                |first| format!("the first one is on line {}: {keep}", first.line),
            );
            (format!("the key {} is given twice", super::show(key)).into(), Some(help))
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the file is too large or expands too much".into(),
            Some(
                "at most 5 million values, 16 levels, and aliases that expand to 1 million values".to_owned(),
            ),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => (
            "this alias refers to a value that contains the alias itself".into(),
            Some("refer to an anchor that is complete".to_owned()),
        ),
        Error::UnknownAnchor { .. } => (
            "this alias refers to an anchor that is not defined before it".into(),
            Some("define it first, as in `&name value`; quote a text that begins with `*`".to_owned()),
        ),
        Error::UnsupportedTag { tag, .. } => (
            format!("the tag {} means nothing here", super::show(tag)).into(),
            Some("leave the tag out; quote a text that begins with `!`".to_owned()),
        ),
        Error::MultipleDocuments { .. } => (
            "a second YAML document begins here".into(),
            Some("a configuration is one document: remove the `---` before it".to_owned()),
        ),
        Error::Unexpected { .. } | Error::NullIntoString { .. } => (
            format!("not the YAML expected here: {}", UserMessageFormatter.format_message(error)).into(),
            Some("a key is a single word or text".to_owned()),
        ),
        error => {
            let reason = UserMessageFormatter.format_message(error);
            let help = if reason.contains("tabs") {
                Some("indent with spaces")
            } else if reason.contains("while parsing a flow") {
                Some(
                    "look for a `{` or `[` on this line or before it that nothing closes, or a comma that is missing",
                )
            } else {
                None
            };
            (format!("not YAML: {reason}").into(), help.map(str::to_owned))
        }
    };
    Refusal { place: at, message: message.into_owned(), help }
}

/// Position of the first occurrence of a duplicate key: the last key before it with this spelling and
/// indentation.
fn first_of(text: &str, key: &str, duplicate: Place) -> Option<Place> {
    let tree = read::<Spanned<Raw>>(text, DuplicateKeyPolicy::FirstWins, MergeKeyPolicy::AsOrdinary);
    let tree = tree.ok()?.into_node(text);
    let mut found = None;
    let mut open = vec![&tree];
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => open.extend(items),
            Value::Map(entries) => {
                for entry in entries {
                    let candidate = entry.key.place;
                    let before = (candidate.line, candidate.column) < (duplicate.line, duplicate.column);
                    let as_far_in = candidate.line == duplicate.line || candidate.column == duplicate.column;
                    if entry.key.value == key && before && as_far_in {
                        found = found.max(Some(candidate));
                    }
                    open.push(&entry.node);
                }
            }
        }
    }
    found
}
