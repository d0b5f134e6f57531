//! Readers of single values: they return the value, or what is wrong and what is expected.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::characters::{is_invisible, named, refuse};
use super::complaint::Complaint;
use super::show;
use super::yaml::{Node, Scalar, ScalarKind, Value};

/// Maximum length of a name, in bytes.
pub const LONGEST_NAME: usize = 64;

/// Characters allowed in a name besides ASCII letters and digits.
pub(super) const NAME_PUNCTUATION: &str = "._:-/@+";
pub(super) const PORT: RangeInclusive<u32> = 1..=65_535;
pub(super) const WEIGHT: RangeInclusive<u32> = 0..=100;
pub(super) const PERCENT: RangeInclusive<u32> = 1..=100;
/// Units of durations, in nanoseconds. Like Go, this accepts both characters for micro.
pub(super) const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Describes the type of a node.
pub(super) fn kind(node: &Node) -> String {
    match &node.value {
        Value::Null => "empty".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Scalar(Scalar { text, kind }) => match kind {
            ScalarKind::PlainText | ScalarKind::QuotedText => format!("the text {}", show(text)),
            ScalarKind::Bool(_) => format!("the boolean {}", show(text)),
            ScalarKind::Integer(_) | ScalarKind::Float => format!("the number {}", show(text)),
        },
    }
}

pub(super) fn scalar<'n>(node: &'n Node, what: &str, help: &str) -> Result<&'n Scalar, Complaint> {
    match &node.value {
        Value::Scalar(scalar) => {
            let help = "remove it; if the text was copied from elsewhere, retype it";
            refuse(&scalar.text, is_invisible, help).map(|()| scalar)
        }
        _ => Err(Complaint::malformed(format!("must be {what}, not {}", kind(node)), help)),
    }
}

/// Text. An unquoted number or boolean is taken as spelled.
pub(super) fn text(node: &Node) -> Result<String, Complaint> {
    Ok(scalar(node, "a text", "write a text, in quotes if it has special characters")?.text.clone())
}

/// Text for people, on one line, trimmed.
pub(super) fn description(node: &Node) -> Result<String, Complaint> {
    let text = text(node)?.trim().to_owned();
    if text.chars().any(char::is_control) {
        return Err(Complaint::invalid(
            format!("is {}, which has a line break or another control character", show(&text)),
            "write it on one line",
        ));
    }
    Ok(text)
}

/// `true` or `false`, and YAML 1.1's words for them.
pub(super) fn boolean(node: &Node) -> Result<bool, Complaint> {
    if let Value::Scalar(Scalar { text, kind }) = &node.value {
        match kind {
            ScalarKind::Bool(value) => return Ok(*value),
            ScalarKind::PlainText => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" => return Ok(true),
                "no" | "off" => return Ok(false),
                _ => {}
            },
            ScalarKind::QuotedText | ScalarKind::Integer(_) | ScalarKind::Float => {}
        }
    }
    Err(Complaint::malformed(
        format!("must be true or false, not {}", kind(node)),
        "write `true` or `false`, without quotes",
    ))
}

/// A whole number within bounds.
pub(super) fn integer(bounds: RangeInclusive<u32>) -> impl FnOnce(&Node) -> Result<u32, Complaint> {
    move |node| {
        let help = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        let found = scalar(node, "a whole number", &help)?;
        let ScalarKind::Integer(value) = found.kind else {
            let help = match (meant(&found.text).filter(|number| bounds.contains(number)), found.kind) {
                (Some(number), _) if found.text.starts_with('0') && !found.text.contains(['x', 'o', 'b']) => {
                    format!("{help}, without zeros before it, which mean octal to some programs: `{number}`")
                }
                (Some(_), ScalarKind::QuotedText) => format!("{help}, without quotes"),
                (Some(number), _) => format!("{help}, like `{number}`"),
                (None, _) => help,
            };
            return Err(Complaint::malformed(format!("must be a whole number, not {}", kind(node)), help));
        };
        u32::try_from(value)
            .ok()
            .filter(|value| bounds.contains(value))
            .ok_or_else(|| Complaint::invalid(format!("is {value}, which is out of range"), help))
    }
}

/// The whole number that a text was probably meant to be.
fn meant(text: &str) -> Option<u32> {
    let digits = text.replace('_', "").to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return u32::from_str_radix(digits, radix).ok();
        }
    }
    digits.parse().ok()
}

/// A port.
pub(super) fn port(node: &Node) -> Result<u16, Complaint> {
    let value = integer(PORT)(node)?;
    u16::try_from(value).map_err(|_| Complaint::invalid(format!("is {value}"), "write a port"))
}

/// A weight.
pub(super) fn weight(node: &Node) -> Result<u8, Complaint> {
    let value = integer(WEIGHT)(node)?;
    u8::try_from(value).map_err(|_| Complaint::invalid(format!("is {value}"), "write a weight"))
}

/// A percentage, at least 1.
pub(super) fn percent(node: &Node) -> Result<u8, Complaint> {
    let value = integer(PERCENT)(node).map_err(|complaint| match &node.value {
        Value::Scalar(Scalar { text, .. }) if text.ends_with('%') => {
            Complaint { help: format!("{}, without `%`", complaint.help), ..complaint }
        }
        _ => complaint,
    })?;
    u8::try_from(value).map_err(|_| Complaint::invalid(format!("is {value}"), "write a percentage"))
}

/// A power of two, at most `most`, which is one itself.
pub(super) fn power_of_two(most: u32) -> impl FnOnce(&Node) -> Result<u32, Complaint> {
    move |node| {
        let value = integer(1..=most)(node)?;
        if value.is_power_of_two() {
            return Ok(value);
        }
        let above = value.next_power_of_two();
        Err(Complaint::invalid(
            format!("is {value}, which is not a power of two"),
            format!("the nearest ones are {} and {above}", above / 2),
        ))
    }
}

/// A duration within bounds, in Go's syntax: `250ms`, `5s`, `1m30s`. A bare 0 needs no unit.
pub(super) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl FnOnce(&Node) -> Result<Duration, Complaint> {
    move |node| {
        let help = "write numbers with units (ms, s, m, h), like `250ms`, `5s` or `1m30s`";
        let found = scalar(node, "a duration", help)?;
        if let ScalarKind::Integer(1..) | ScalarKind::Float = found.kind {
            return Err(Complaint::malformed(
                format!("is the bare number {}, which has no unit", show(&found.text)),
                format!("write its unit: `{0}s` for seconds, `{0}ms` for milliseconds", found.text),
            ));
        }
        let value = parse_duration(&found.text).ok_or_else(|| {
            Complaint::invalid(format!("is {}, which is not a duration", show(&found.text)), help)
        })?;
        if bounds.contains(&value) {
            return Ok(value);
        }
        Err(Complaint::invalid(
            format!("is {}, which is out of range", show(&found.text)),
            format!("write a duration from {} to {}", in_words(*bounds.start()), in_words(*bounds.end())),
        ))
    }
}

/// Maximum of any duration.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Formats a duration in the configuration's syntax.
pub(super) fn in_words(duration: Duration) -> String {
    match duration {
        Duration::ZERO => "0s".to_owned(),
        HOUR => "1h".to_owned(),
        DAY => "24h".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Parses Go's syntax without a sign: decimal numbers with units, or 0. Also `None` above 2^64 ns.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, nanoseconds) = *UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(nanoseconds)?)?;
        let mut scale = nanoseconds;
        for digit in fraction.bytes() {
            scale /= 10;
            total = total.checked_add(u64::from(digit - b'0') * scale)?;
        }
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

/// Whether a configuration can have this name.
pub fn is_name(name: &str) -> bool {
    check_name(name).is_ok()
}

/// Checks a name. Names become words of commands, labels of metrics and columns of tables.
pub(super) fn check_name(name: &str) -> Result<(), Complaint> {
    let fits = |char: char| char.is_ascii_alphanumeric() || NAME_PUNCTUATION.contains(char);
    let problem = if name.is_empty() {
        "which is empty".to_owned()
    } else if let Some(wrong) = name.chars().find(|&char| !fits(char)) {
        format!("which has {} in it", named(wrong))
    } else if name.starts_with('-') {
        "which begins like an option".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("which has {} characters", name.len())
    } else {
        return Ok(());
    };
    Err(Complaint::invalid(
        format!("is {}, {problem}", show(name)),
        format!(
            "a name has 1 to {LONGEST_NAME} letters, digits, `.`, `_`, `:`, `-`, `/`, `@` or `+`, all of them ASCII"
        ),
    ))
}

/// A name.
pub(super) fn name(node: &Node) -> Result<String, Complaint> {
    let name = text(node)?;
    check_name(&name).map(|()| name)
}

/// A name; an empty text means none.
pub(super) fn optional_name(node: &Node) -> Result<Option<String>, Complaint> {
    let name = text(node)?;
    if name.is_empty() { Ok(None) } else { check_name(&name).map(|()| Some(name)) }
}

/// The name of a network namespace in the sense of `ip netns`: a file name. Empty means none.
pub(super) fn netns(node: &Node) -> Result<Option<String>, Complaint> {
    let name = optional_name(node)?;
    match name.as_deref() {
        Some(path) if path.contains('/') || path == "." || path == ".." => Err(Complaint::invalid(
            format!("is {}, a path", show(path)),
            "write the name alone, as `ip netns` lists it",
        )),
        _ => Ok(name),
    }
}
