//! JSON Schema of `healthchecks:`.

use serde_json::{Value, json};

use super::super::check_model::{RCODES, RECORD_TYPES};
use super::super::check_type::Type;
use super::super::healthcheck::{
    DEFAULT_CODES, DEFAULT_FALL, DEFAULT_INTERVAL, DEFAULT_PATH, DEFAULT_RISE, HTTP_PORT, HTTPS_PORT,
    IN_A_ROW, INTERVAL, PARAM_KEYS, TIMEOUT,
};
use super::super::http_values::{CODES, METHODS};
use super::super::model::HttpMethod;
use super::super::protocols::{DNS_PORT, PROXY_VERSIONS, TRANSPORTS};
use super::super::values::PORT;
use super::super::via::{SIZE, WAYS};
use super::kinds::{choice, defined, duration, integer, section, with_default};

/// One check.
pub(super) fn check() -> Value {
    let port = format!(
        "Port of the backend. {HTTP_PORT} for http, {HTTPS_PORT} for https, {DNS_PORT} for dns, if not given."
    );
    let keys = json!({
        "type": choice("What a probe does.", &Type::NAMES.map(|(name, _)| name)),
        "port": integer(&port, PORT),
        "agent-port": integer("Port on which the server says how much traffic it wants, as to HAProxy's agent-check.", PORT),
        "agent-send": defined("text", "What is sent to that port first."),
        "interval": duration(
            "From one probe's start to the next, while the backend is fully up.", INTERVAL, Some(DEFAULT_INTERVAL),
        ),
        "fast-interval": duration(
            "The same while the backend is unknown, or on its way up or down. `interval`, if not given.", INTERVAL, None,
        ),
        "down-interval": duration(
            "The same while the backend is fully down. `interval`, if not given.", INTERVAL, None,
        ),
        "timeout": duration("Time for a whole probe. `interval`, if not given.", TIMEOUT, None),
        "rise": with_default(integer("Passes in a row that make a backend up.", IN_A_ROW), DEFAULT_RISE),
        "fall": with_default(integer("Failures in a row that make a backend down.", IN_A_ROW), DEFAULT_FALL),
        "probe-ipv4-src": defined("ipv4", "Source of probes to IPv4 backends."),
        "probe-ipv6-src": defined("ipv6", "Source of probes to IPv6 backends."),
        "via": with_default(
            choice("Whether the backend's address is probed, or the VIPs it serves, through its tunnel.", &WAYS), WAYS[0],
        ),
        "size": integer("Size of an icmp check's packets through the tunnel, with the IP header.", SIZE),
        "params": section("Parameters of the type.", params()),
    });
    json!({
        "type": "object",
        "properties": keys,
        "required": ["type"],
        "additionalProperties": false,
        "allOf": Type::NAMES.map(|(name, of)| json!({
            "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
            "then": of_type(of),
        })),
    })
}

/// Further rules for checks of one type.
fn of_type(of: Type) -> Value {
    let fits = of.params();
    let params: Vec<&str> = PARAM_KEYS.iter().copied().filter(|key| fits(key)).collect();
    let params = json!({ "propertyNames": { "enum": params } });
    match of {
        Type::Tcp | Type::Udp | Type::Grpc => {
            json!({ "properties": { "params": params }, "required": ["port"] })
        }
        Type::Icmp => json!({ "properties": { "params": params, "port": false } }),
        Type::Http | Type::Https | Type::Dns => json!({ "properties": { "params": params } }),
    }
}

fn params() -> Value {
    let code = format!("(?:[{}-{}][0-9]{{2}})", CODES.start() / 100, CODES.end() / 100);
    let part = format!(r"\s*{code}\s*(?:-\s*{code}\s*)?");
    let codes = json!({
        "type": ["string", "integer"],
        "pattern": format!("^{part}(?:,{part})*$"),
        "minimum": CODES.start(),
        "maximum": CODES.end(),
        "description": "Codes that pass: single ones and ranges, like `200,204,300-399`.",
    });
    json!({
        "path": with_default(
            json!({
                "type": "string",
                "pattern": "^/",
                "description": "What is asked for, with its query.",
            }),
            DEFAULT_PATH,
        ),
        "method": with_default(choice("The method of the request.", &METHODS.map(HttpMethod::name)), METHODS[0].name()),
        "body": defined("text", "The body of a POST."),
        "keepalive": with_default(
            defined("truth-value", "Whether probes share a connection for as long as it lasts."), false,
        ),
        "host": defined("text", "The Host header, perhaps with a port. The backend's address, if not given."),
        "headers": {
            "type": ["object", "null"],
            "additionalProperties": { "$ref": "#/$defs/text" },
            "description": "Further request headers.",
        },
        "response-code": with_default(codes, format!("{}-{}", DEFAULT_CODES.0, DEFAULT_CODES.1)),
        "response-regexp": defined("text", "What the first 64 KiB of the body must match. Not with HEAD."),
        "drain-code": {
            "type": ["string", "integer", "array"],
            "pattern": format!("^{part}(?:,{part})*$"),
            "items": { "type": ["string", "integer"] },
            "minimum": CODES.start(),
            "maximum": CODES.end(),
            "description": "Codes that pass, and by which the server asks for no new flows.",
        },
        "agent-header": {
            "type": "string",
            "description": "Response header with the server's own word: `up`, `drain`, `40%` or `down`.",
        },
        "send": defined("text", "What a tcp or udp check sends."),
        "send-hex": defined("text", "The same, in hexadecimal digits."),
        "expect": defined("text", "What the reply must contain."),
        "expect-hex": defined("text", "The same, in hexadecimal digits."),
        "expect-regexp": defined("text", "What the reply must match."),
        "name": defined("text", "The name that a dns check asks for."),
        "record-type": words("The type of record that it asks for.", &RECORD_TYPES),
        "rcode": words("The response code that passes.", &RCODES),
        "answer-regexp": defined("text", "What the data of one record of the answer must match."),
        "transport": words("How it asks; UDP is followed by TCP for a truncated answer.", &TRANSPORTS),
        "service": with_default(
            defined("text", "The service that a grpc check asks about. Empty is the server as a whole."), "",
        ),
        "send-proxy": choice("A header of the PROXY protocol, sent first on a connection.", &names(&PROXY_VERSIONS)),
        "ssl": with_default(
            defined("truth-value", "Whether there is TLS on top of the connection of a tcp or grpc check."), false,
        ),
        "ssl-verify": with_default(defined("truth-value", "Whether the certificate must be valid."), true),
        "insecure-skip-verify": defined("truth-value", "The opposite of `ssl-verify`, instead of it."),
        "sni": defined("text", "The server name for SNI. `host`, if not given."),
        "server-name": defined("text", "Another name of `sni`, instead of it."),
        "ca-file": {
            "type": "string",
            "pattern": "^/",
            "description": "Absolute path of a PEM file with the authorities to trust instead of the system's.",
        },
    })
}

/// One of these words; the first is the default.
fn words<T>(description: &str, words: &[(&str, T)]) -> Value {
    let default = words.first().map_or("", |(word, _)| word);
    with_default(choice(description, &names(words)), default)
}

fn names<'a, T>(words: &[(&'a str, T)]) -> Vec<&'a str> {
    words.iter().map(|(word, _)| *word).collect()
}
