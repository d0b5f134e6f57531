//! `announce:`, `router:` and `bird:`.

use serde_json::{Value, json};

use super::super::announce::{
    DEFAULT_ANNOUNCE, DEFAULT_PREFIX, DEFAULT_SOCKET, HOLD_DOWN, HYSTERESIS, ROUTERS,
};
use super::super::model::{Last, Ports, WhenVppAway};
use super::kinds::{choice, defined, duration, integer, with_default};

pub(super) fn announce() -> Value {
    json!({
        "enabled": with_default(defined("truth-value", "Whether it is announced."), true),
        "min-up": {
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 10_000 },
                { "type": "string", "pattern": "^(?:[1-9][0-9]?|100)%$" },
            ],
            "default": 1,
            "description": "Backends of the active pool that must be able to serve: a number, or a percentage like `50%`.",
        },
        "hysteresis": with_default(
            integer("Backends beyond `min-up` before a withdrawn route comes back.", HYSTERESIS),
            DEFAULT_ANNOUNCE.hysteresis,
        ),
        "hold-down": duration(
            "Time after a withdrawal before which the route does not come back.",
            HOLD_DOWN,
            Some(DEFAULT_ANNOUNCE.hold_down),
        ),
        "ports": with_default(
            choice("Which frontends of one address must be able to serve.", &Ports::NAMES.map(|(name, _)| name)),
            "all",
        ),
        "last": with_default(
            choice(
                "What happens to a route when no backend of any frontend is up.",
                &Last::NAMES.map(|(name, _)| name),
            ),
            "keep",
        ),
        "when-vpp-away": with_default(
            choice(
                "What happens to a route while VPP is disconnected. `keep` loses its packets if VPP is dead.",
                &WhenVppAway::NAMES.map(|(name, _)| name),
            ),
            "withdraw",
        ),
    })
}

pub(super) fn router() -> Value {
    with_default(
        choice(
            "The router: BIRD, or a table of the kernel that any router learns from.",
            &ROUTERS.map(|(name, _)| name),
        ),
        "bird",
    )
}

pub(super) fn bird() -> Value {
    json!({
        "socket": with_default(defined("text", "Its control socket, an absolute path."), DEFAULT_SOCKET),
        "prefix": with_default(
            defined("text", "How the names of the VIPs' protocols begin: a letter, then letters, digits and `_`."),
            DEFAULT_PREFIX,
        ),
    })
}
