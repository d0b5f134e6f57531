//! Sample answers about a fleet.

use maglev_proto::{
    ConfigDifference, FleetConfig, FleetMember, FleetOrder, FleetPlan, FleetRollout, FleetStage, FleetStatus,
    FleetTable, FleetTableDifference, FleetTables, ListFleetConfigsResponse,
};

use super::{DAY, HOUR, MINUTE, NOW};

fn member(name: &str, revision: u64) -> FleetMember {
    FleetMember {
        name: name.into(),
        version: "0.2.0".into(),
        first_seen_unix_ms: NOW - 30 * DAY,
        connected: true,
        revision,
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        vpp_connected: true,
        clock_unix_ms: NOW,
        ..FleetMember::default()
    }
}

/// A canary that soaks, one that waits, and one that is away.
pub(crate) fn fleet() -> FleetStatus {
    let away = FleetMember { connected: false, revision: 0, sha256: String::new(), ..member("lb3", 0) };
    FleetStatus {
        fleet: "edge".into(),
        member: "lb1".into(),
        connected: true,
        since_unix_ms: NOW - 3 * DAY,
        rollout: Some(FleetRollout {
            revision: 8,
            back_to: 7,
            plan: Some(FleetPlan {
                canary: vec!["lb1".into()],
                soak_ms: 5 * MINUTE,
                order: FleetOrder::OneByOne.into(),
            }),
            stage: FleetStage::Soaking.into(),
            may: vec!["lb1".into()],
            since_unix_ms: NOW - 2 * MINUTE,
            begun_unix_ms: NOW - 2 * MINUTE,
            who: "user alice (uid 1000)".into(),
            comment: "less for web3".into(),
            ..FleetRollout::default()
        }),
        members: vec![member("lb1", 8), member("lb2", 7), away],
        ..FleetStatus::default()
    }
}

/// A VIP that is equal on those that are known, and one that a member has differently.
pub(crate) fn fleet_tables() -> FleetTables {
    let table =
        |vip: &str, frontend: &str, digest: &str, differences: Vec<FleetTableDifference>| FleetTable {
            vip: vip.into(),
            frontend: frontend.into(),
            length: 1024,
            servers: 3,
            digest: digest.into(),
            equal: if differences.is_empty() { 2 } else { 1 },
            differences,
        };
    let difference = FleetTableDifference {
        member: "lb2".into(),
        reason: "different intents or overrides".into(),
        lasting: true,
        length: 1024,
        servers: 3,
        digest: "8f14e45fceea167a".into(),
    };
    FleetTables {
        members: ["lb1", "lb2", "lb3"].map(str::to_owned).into(),
        unknown: vec!["lb3".into()],
        tables: vec![
            table("192.0.2.1 tcp/80", "shop", "5f4dcc3b5aa765d6", Vec::new()),
            table("192.0.2.1 tcp/443", "shop-tls", "c9f0f895fb98ab91", vec![difference]),
        ],
    }
}

/// Two revisions.
pub(crate) fn fleet_configs() -> ListFleetConfigsResponse {
    let config = |number, ago: u64, comment: &str, members: &[&str]| FleetConfig {
        number,
        at_unix_ms: NOW - ago,
        who: "user alice (uid 1000)".into(),
        comment: comment.into(),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ..FleetConfig::default()
    };
    let configs = vec![config(8, 2 * MINUTE, "less for web3", &["lb1"]), config(7, 5 * HOUR, "", &["lb2"])];
    ListFleetConfigsResponse { configs }
}

/// A weight that differs.
pub(crate) fn fleet_compared() -> FleetConfig {
    let key = "frontends.shop.pools.primary.backends.web3.weight".into();
    let difference = ConfigDifference { key, old: Some("100".into()), new: Some("50".into()) };
    FleetConfig { differences: vec![difference], ..FleetConfig::default() }
}
