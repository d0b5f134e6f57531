//! JSON Schema of the checks of a backend, and of the limits on how fast health may change the table.

use serde_json::{Value, json};

use super::super::require::MOST_CHECKS;
use super::super::stability::{DEFAULT_DAMPING, DEFAULT_GUARD, HALF_LIFE, MAX_SUPPRESS, PENALTY, PER_SECOND};
use super::kinds::{duration, integer, with_default};

pub(super) fn checks() -> Value {
    json!({
        "anyOf": [
            { "$ref": "#/$defs/optional-name" },
            {
                "type": "array",
                "items": { "$ref": "#/$defs/name" },
                "uniqueItems": true,
                "maxItems": MOST_CHECKS,
            },
        ],
        "description": "One of `healthchecks`, or a list of several. Without one it is static: always up.",
    })
}

pub(super) fn require() -> Value {
    json!({
        "anyOf": [{ "enum": ["all", "any"] }, { "type": "integer", "minimum": 1, "maximum": MOST_CHECKS }],
        "default": "all",
        "description": "How many of its health checks must be up.",
    })
}

pub(super) fn damping() -> Value {
    let base = DEFAULT_DAMPING;
    json!({
        "half-life": duration("Time in which a penalty halves.", HALF_LIFE, Some(base.half_life)),
        "suppress": with_default(
            integer("Penalty from which a backend is held down; each time it goes down adds 1000.", PENALTY),
            base.suppress,
        ),
        "reuse": with_default(
            integer("Penalty at which it may come up again, below `suppress`.", PENALTY), base.reuse,
        ),
        "max-suppress": duration(
            "Maximum time of being held down after it went down.", MAX_SUPPRESS, Some(base.max_suppress),
        ),
    })
}

pub(super) fn guard() -> Value {
    json!({
        "more-than": {
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[1-9]?[0-9]%$",
            "default": DEFAULT_GUARD.more_than.to_string(),
            "description": "More backends than this, going down within one second, are suspicious: a number, or a \
                percentage of all backends like `30%`.",
        },
        "per-second": integer("Maximum number of backends that go down in a second. No limit, if not given.", PER_SECOND),
    })
}
