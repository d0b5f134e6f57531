//! The configuration's JSON Schema, for editors: built from the lists of keys, limits and defaults that the
//! readers use. It checks less than they do: no references, no ranges of durations, no rules between keys of
//! different mappings.

mod announce;
mod checks;
mod kinds;
mod stability;

#[cfg(test)]
pub(super) mod tests;

use maglev_protocol::MOST_STICKY_BUCKETS;
use serde_json::{Value, json};

use super::backend::MOST_LABELS;
use super::fleet::{DEFAULT_FLEET, DOWN_VOTES, HEALTH, VOTE_TTL};
use super::frontend::{DEFAULT_WEIGHT, MOST_BUCKETS, Protocol, SLOW_START};
use super::settings::{
    DEFAULT_HEALTHCHECKER, DEFAULT_LB, FLOW_TIMEOUT, HISTORY, STARTUP_DELAY, SYNC_INTERVAL,
};
use super::stability::AGENT_INTERVAL;
use super::values::{PERCENT, PORT, WEIGHT};
use super::webhook::{DEFAULT_TIMEOUT, MOST_WEBHOOKS, TIMEOUT};
use crate::kind::Kind;
use kinds::{
    choice, defined, definitions, duration, integer, list, map, number_or_percentage, power_of_two, section,
    with, with_default,
};

/// The schema, in draft 2020-12.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of maglev-brain",
        "type": "object",
        "properties": { "maglev": section("All settings are below this key.", maglev()) },
        "required": ["maglev"],
        "additionalProperties": false,
        "$defs": definitions(),
    })
}

/// The published text of the schema, ending in a line break.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

fn maglev() -> Value {
    json!({
        "healthchecker": section("Settings of the health checker as a whole.", healthchecker()),
        "vpp": section("VPP.", json!({ "lb": section("VPP's lb plugin, and how it is programmed.", lb()) })),
        "announce": section(
            "Announces every VIP through the router while it works; keys of a frontend's own `announce` take precedence.",
            announce::announce(),
        ),
        "router": announce::router(),
        "bird": section("The router BIRD.", announce::bird()),
        "fleet": section(
            "What all members of a fleet of load balancers do alike; without effect on a single one.", fleet(),
        ),
        "healthchecks": map("Health checks by name.", checks::check()),
        "backends": map("Application servers by name.", backend()),
        "frontends": map("VIPs by name.", frontend()),
        "webhooks": with(
            map("Receivers of events over HTTP, by name.", webhook()), "maxProperties", MOST_WEBHOOKS,
        ),
    })
}

fn healthchecker() -> Value {
    json!({
        "transition-history": with_default(
            integer("Number of transitions remembered for each backend.", HISTORY),
            DEFAULT_HEALTHCHECKER.transition_history,
        ),
        "netns": defined(
            "optional-name",
            "The network namespace in which the brain must have been started. Empty is none.",
        ),
        "agent-interval": duration(
            "Minimum time between two changes of a backend's weight by its server's own word.",
            AGENT_INTERVAL,
            Some(DEFAULT_HEALTHCHECKER.agent_interval),
        ),
        "damping": section(
            "Holds a backend down that goes down again and again; off without this key.", stability::damping(),
        ),
        "guard": section(
            "Tells, and may slow down, failures of many backends at once; off without this key.",
            stability::guard(),
        ),
    })
}

fn lb() -> Value {
    let lb = DEFAULT_LB;
    json!({
        "ipv4-src-address": defined("ipv4", "Source of the tunnels to IPv4 backends. Required if a frontend has any."),
        "ipv6-src-address": defined("ipv6", "Source of the tunnels to IPv6 backends. Required if a frontend has any."),
        "sticky-buckets-per-core": with_default(
            power_of_two(
                "Size of each VPP thread's table of pinned flows. Changing it makes VPP forget pinned flows.",
                MOST_STICKY_BUCKETS,
            ),
            lb.sticky_buckets_per_core,
        ),
        "flow-timeout": duration(
            "After this time VPP forgets an idle flow. Whole seconds.", FLOW_TIMEOUT, Some(lb.flow_timeout),
        ),
        "sync-interval": duration("Time between full comparisons with VPP; 0 is the default.", SYNC_INTERVAL, Some(lb.sync_interval)),
        "startup-min-delay": duration(
            "Time after the start before which nothing is written to VPP.",
            STARTUP_DELAY,
            Some(lb.startup_min_delay),
        ),
        "startup-max-delay": duration(
            "Time after the start at which frontends are released even if backends are still unknown. \
             At least `startup-min-delay`; 0 is no warm-up.",
            STARTUP_DELAY,
            Some(lb.startup_max_delay),
        ),
        "vpp-lb-api": {
            "description": "The lb API of the VPP that this is meant for: 1.1 is VPP 23.06 to 26.06, which has no \
                            weights; 1.2 is VPP 26.10. A connected VPP itself decides.",
            "enum": [1.1, 1.2, "1.1", "1.2"],
            "default": 1.2,
        },
    })
}

fn fleet() -> Value {
    json!({
        "health": with_default(
            choice(
                "Whose view of health counts: each member's own, or what the members vote.",
                &HEALTH.map(|(name, _)| name),
            ),
            "local",
        ),
        "down-votes": integer(
            "Members that must see a backend down before the fleet does. Without it, a majority of those with fresh votes.",
            DOWN_VOTES,
        ),
        "vote-ttl": duration(
            "Age at which a member's votes no longer count.", VOTE_TTL, Some(DEFAULT_FLEET.vote_ttl),
        ),
    })
}

fn backend() -> Value {
    let keys = json!({
        "address": defined("address", "Where its traffic goes, through a tunnel."),
        "healthcheck": stability::checks(),
        "require": stability::require(),
        "enabled": with_default(defined("truth-value", "Whether it is in service."), true),
        "labels": with(
            map("What operators select it by, such as `rack: r1`.", defined("name", "Value of the label.")),
            "maxProperties",
            MOST_LABELS,
        ),
    });
    json!({ "type": "object", "properties": keys, "required": ["address"], "additionalProperties": false })
}

fn frontend() -> Value {
    let protocols = Protocol::NAMES.map(|(name, _)| name);
    let keys = json!({
        "description": defined("text", "Description for people, on one line."),
        "address": defined("address", "The VIP's address."),
        "protocol": choice(
            "What is balanced. Without `protocol` and `port` all traffic to the address is.", &protocols,
        ),
        "port": integer("Port of the VIP, with `protocol`.", PORT),
        "src-ip-sticky": with_default(
            defined(
                "truth-value",
                "Whether all flows of one source address go to one backend. \
                 Changing it re-creates the VIP, which forgets its pinned flows.",
            ),
            false,
        ),
        "flush-on-down": with_default(
            defined("truth-value", "Whether the pinned flows of a backend that goes down are flushed."),
            true,
        ),
        "new-flows-table-length": power_of_two(
            "Buckets of VPP's table for new flows, instead of as many as the weights need. \
             An existing VIP keeps its table.",
            MOST_BUCKETS,
        ),
        "slow-start": duration(
            "Time over which the weight of a backend that comes up rises. Costs a longer table and needless moves.",
            SLOW_START,
            None,
        ),
        "panic-threshold": integer(
            "Percent of a pool's backends that must be up; with fewer, all of them take new flows again, up or not.",
            PERCENT,
        ),
        "announce": section(
            "Announces the VIP's address through the router while it works, as `announce` for all frontends does.",
            announce::announce(),
        ),
        "pools": list("Pools in order of preference.", pool()),
    });
    json!({
        "type": "object",
        "properties": keys,
        "required": ["address", "pools"],
        "dependentRequired": { "protocol": ["port"], "port": ["protocol"] },
        "additionalProperties": false,
    })
}

fn pool() -> Value {
    let weight = integer("Its share of new flows among the backends of its pool.", WEIGHT);
    let member = json!({
        "type": ["object", "null"],
        "properties": { "weight": with_default(weight, DEFAULT_WEIGHT) },
        "additionalProperties": false,
    });
    let members = map("Names of `backends`, each with its settings, which may be empty.", member);
    let members = with(with(members, "type", "object"), "minProperties", 1);
    json!({
        "type": "object",
        "properties": {
            "name": defined("name", "Its name, unique in the frontend."),
            "min-up": number_or_percentage(
                "How many of its backends should be up, like `2` or `50%`. Below it, the brain warns, and changes \
                 need a confirmation.",
            ),
            "backends": members,
        },
        "required": ["name", "backends"],
        "additionalProperties": false,
    })
}

fn webhook() -> Value {
    let keys = json!({
        "url": {
            "type": "string",
            "pattern": "^https?://[^/?#@]+([/?][^#]*)?$",
            "description": "Where events are sent, with POST.",
        },
        "secret-file": {
            "type": "string",
            "pattern": "^/",
            "description": "Absolute path of a file whose text signs deliveries.",
        },
        "events": with_default(
            with(
                list("Kinds of events to send.", choice("A kind of event.", &Kind::EVENTS.map(Kind::word))),
                "uniqueItems",
                true,
            ),
            Kind::EVENTS.map(Kind::word).to_vec(),
        ),
        "ca-file": {
            "type": "string",
            "pattern": "^/",
            "description": "Absolute path of a PEM file with the authorities to trust instead of the system's.",
        },
        "timeout": duration("Time for one attempt.", TIMEOUT, Some(DEFAULT_TIMEOUT)),
    });
    json!({
        "type": "object",
        "properties": keys,
        "required": ["url", "secret-file"],
        "additionalProperties": false,
    })
}
