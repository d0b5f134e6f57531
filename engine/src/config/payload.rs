//! Bytes that checks send and expect.

use super::check_model::{AgentLine, Exchange, Expect};
use super::complaint::Complaint;
use super::http_values::regexp;
use super::pattern::Pattern;
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{port, text};
use super::yaml::{Located, Node};

pub(super) const EXCHANGE_KEYS: &[&str] = &["expect", "expect-hex", "expect-regexp", "send", "send-hex"];

/// Longest text or bytes that a check sends or expects, in bytes.
const LONGEST_PAYLOAD: usize = 4096;

/// What is sent and what is expected; nothing of it without parameters.
pub(super) fn exchange(params: Option<&Section<'_>>, report: &mut Report<'_>) -> Exchange {
    let mut exchange = Exchange::default();
    let Some(params) = params else { return exchange };
    let send = params.read("send", payload, report);
    if let Some(send) = &send {
        warn_of_escapes(params, "send", send, report);
    }
    let send_hex = params.read("send-hex", hex, report);
    let expect = params.read("expect", payload, report);
    if let Some(expect) = &expect {
        warn_of_escapes(params, "expect", expect, report);
    }
    let expect_hex = params.read("expect-hex", hex, report);
    let expect_regexp = params.read("expect-regexp", regexp, report);
    refuse_two(params, &["send", "send-hex"], report);
    refuse_two(params, &["expect", "expect-hex", "expect-regexp"], report);

    exchange.send = send.map(|send| send.value.into_bytes()).or(send_hex.map(|send| send.value));
    let literal = |key, text: String, bytes: &[u8]| Some(Expect { key, text, pattern: Pattern::of(bytes)? });
    exchange.expect = expect
        .and_then(|expect| literal("expect", expect.value.clone(), expect.value.as_bytes()))
        .or_else(|| expect_hex.and_then(|hex| literal("expect-hex", in_hex(&hex.value), &hex.value)))
        .or_else(|| {
            let pattern = expect_regexp?.value;
            Some(Expect { key: "expect-regexp", text: pattern.as_str().to_owned(), pattern })
        });
    exchange
}

/// `agent-port` and `agent-send` of a health check.
pub(super) fn agent_line(check: &Section<'_>, report: &mut Report<'_>) -> Option<AgentLine> {
    let port = check.read("agent-port", port, report);
    let send = check.read("agent-send", payload, report);
    if let Some(send) = &send {
        warn_of_escapes(check, "agent-send", send, report);
        if check.entry("agent-port").is_none() {
            report.invalid(
                send.place,
                format!("{} is set, but there is no `agent-port`", check.subject("agent-send")),
                "add the port of the server's agent, or leave it out",
            );
        }
    }
    Some(AgentLine { port: port?.value, send: send.map(|send| send.value).unwrap_or_default() })
}

/// A text of a bounded length.
pub(super) fn payload(node: &Node) -> Result<String, Complaint> {
    let payload = text(node)?;
    check_length(payload.len()).map(|()| payload)
}

fn check_length(length: usize) -> Result<(), Complaint> {
    if length <= LONGEST_PAYLOAD {
        return Ok(());
    }
    let help = format!("write at most {LONGEST_PAYLOAD} bytes");
    Err(Complaint::invalid(format!("has {length} bytes, which is too many"), help))
}

/// Bytes as pairs of hexadecimal digits, with any white space in between.
fn hex(node: &Node) -> Result<Vec<u8>, Complaint> {
    let given = text(node)?;
    let digits: Vec<char> = given.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    let byte = |pair: &[char]| match *pair {
        [high, low] => u8::try_from(high.to_digit(16)? << 4 | low.to_digit(16)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let bytes = bytes.ok_or_else(|| {
        Complaint::invalid(
            format!("is {}, which is not hexadecimal", show(&given)),
            "write two digits for each byte, in quotes, like \"0d 0a\"",
        )
    })?;
    check_length(bytes.len()).map(|()| bytes)
}

/// Bytes as `send-hex` has them.
fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Only double quotes make a line break of `\r\n`.
fn warn_of_escapes(params: &Section<'_>, key: &str, given: &Located<String>, report: &mut Report<'_>) {
    if let Some(escape) =
        ["\\r", "\\n", "\\t", "\\0", "\\x"].into_iter().find(|escape| given.value.contains(escape))
    {
        report.warning(
            given.place,
            format!("{} has `{escape}` as two characters", params.subject(key)),
            "put the text in double quotes, where YAML makes one character of them",
        );
    }
}

fn refuse_two(params: &Section<'_>, keys: &[&str], report: &mut Report<'_>) {
    let mut given = keys.iter().filter_map(|key| Some((key, params.key_place(key)?)));
    let Some((first, _)) = given.next() else { return };
    for (key, place) in given {
        report.invalid(
            place,
            format!("{} and `{first}` are two forms of one setting", params.subject(key)),
            "keep one of the two",
        );
    }
}
