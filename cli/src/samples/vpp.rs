//! Sample states of the agent and VPP.

use maglev_proto::{
    AgentInfo, SyncVpplbStateResponse, VipCounters, VipSync, VppApplicationServer, VppInfo, VpplbConf,
    VpplbCounters, VpplbState, Vppvip,
};

use super::{DAY, HOUR, MINUTE, NOW, SECOND};

/// Everything in order.
pub(crate) fn vpp_info() -> VppInfo {
    VppInfo {
        agent: Some(AgentInfo {
            connected: true,
            socket: "/run/maglev/dpagent.sock".into(),
            version: "0.2.0".into(),
            ..AgentInfo::default()
        }),
        state: "connected".into(),
        version: "26.10-rc0~374".into(),
        lb_api: "1.2.0".into(),
        build_date: "2026-08-12T09:00:00".into(),
        build_directory: "/build/vpp".into(),
        pid: 4711,
        boot_time_unix_ms: NOW - 5 * DAY - 3 * HOUR,
        connected_unix_ms: NOW - 14 * MINUTE - 2 * SECOND,
        ..VppInfo::default()
    }
}

fn server(address: &str, backend: &str, weight: u32, buckets: u32, flows: u64) -> VppApplicationServer {
    VppApplicationServer { address: address.into(), backend: backend.into(), weight, buckets, flows }
}

/// A VIP with a drained server, an IPv6 one without servers in service, and one that belongs to no frontend.
pub(crate) fn vpp_lb_state() -> VpplbState {
    let vip = |frontend: &str, prefix: &str, port, index, servers| Vppvip {
        frontend: frontend.into(),
        prefix: prefix.into(),
        protocol: "tcp".into(),
        port,
        encap: "gre4".into(),
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        index,
        application_servers: servers,
    };
    let shop = vec![
        server("10.0.0.1", "web1", 2, 683, 1204),
        server("10.0.0.2", "web2", 0, 0, 17),
        server("10.0.0.3", "web3", 1, 341, 633),
        server("10.0.9.1", "sorry", 0, 0, 0),
    ];
    let long = "2001:db8:ffff:ffff:ffff:ffff:ffff:10/128";
    let shop_v6 = Vppvip {
        encap: "gre6".into(),
        src_ip_sticky: true,
        new_flows_table_length: 65_536,
        application_servers: vec![
            server("2001:db8::1:1", "web1-v6", 100, 65_535, 9),
            server("2001:db8:ffff:ffff:ffff:ffff:ffff:2", "web2-v6-in-the-far-hall", 1, 1, 0),
        ],
        ..vip("shop-v6", long, 443, 2, Vec::new())
    };
    let foreign = vec![server("192.0.2.77", "", 1, 1024, 0)];
    VpplbState {
        conf: Some(VpplbConf {
            ip4_src_address: "192.0.2.1".into(),
            ip6_src_address: "2001:db8::1".into(),
            sticky_buckets_per_core: 65_536,
            flow_timeout_seconds: 40,
        }),
        age_ms: 312,
        vips: vec![
            vip("mail", "203.0.113.30/32", 25, 3, Vec::new()),
            vip("shop", "203.0.113.10/32", 443, 1, shop),
            shop_v6,
            Vppvip { protocol: "any".into(), ..vip("", "203.0.113.99/32", 0, 7, foreign) },
        ],
    }
}

/// Connected for the second time, with a VIP outside its policy.
pub(crate) fn agent() -> AgentInfo {
    AgentInfo {
        protocol: 10,
        pid: 4242,
        started_unix_ms: NOW - 5 * DAY,
        connected_unix_ms: NOW - 14 * MINUTE,
        connections: 2,
        foreign: vec!["198.51.100.1 udp/53".into()],
        ..vpp_info().agent.unwrap_or_default()
    }
}

/// Everything in order, with the agent's details.
pub(crate) fn vpp_info_with_agent() -> VppInfo {
    VppInfo { agent: Some(agent()), ..vpp_info() }
}

/// Two VIPs that share a prefix, one that lost packets, and one that belongs to no frontend.
pub(crate) fn vpp_lb_counters() -> VpplbCounters {
    let vip = |frontend: &str, prefix: &str, port, counts: [u64; 4]| {
        let [existing_sessions, first_session, untracked, no_server] = counts;
        VipCounters {
            frontend: frontend.into(),
            prefix: prefix.into(),
            protocol: "tcp".into(),
            port,
            existing_sessions,
            first_session,
            untracked,
            no_server,
            route_packets: Some(1_000_000),
            route_bytes: Some(1_400_000_000),
        }
    };
    let foreign = vip("", "203.0.113.99/32", 0, [0, 0, 0, 0]);
    let long = "2001:db8:ffff:ffff:ffff:ffff:ffff:10/128";
    VpplbCounters {
        age_ms: 700,
        vips: vec![
            vip("mail", "203.0.113.30/32", 25, [0, 0, 0, 512]),
            vip("shop", "203.0.113.10/32", 443, [987_654, 12_345, 1, 0]),
            vip("shop-v6", long, 443, [4, 2, 0, 0]),
            VipCounters { protocol: "any".into(), route_packets: None, route_bytes: None, ..foreign },
        ],
    }
}

/// Includes every kind of line.
pub(crate) fn synced() -> SyncVpplbStateResponse {
    let vip = |frontend: &str, vip: &str| VipSync {
        frontend: frontend.into(),
        vip: vip.into(),
        ..VipSync::default()
    };
    SyncVpplbStateResponse {
        vips: vec![
            VipSync {
                errors: vec!["VPP refused to add the VIP: another encap (INVALID_ARGUMENT, -73)".into()],
                ..vip("legacy", "203.0.113.20 any")
            },
            VipSync {
                changes: vec!["10.0.0.3: weight 2 -> 1".into()],
                ..vip("shop", "203.0.113.10 tcp/443")
            },
            VipSync { changes: vec!["removed".into()], ..vip("", "203.0.113.99 any") },
        ],
        drift: vec!["203.0.113.10 tcp/443: 10.0.0.3 has weight 2, not 1".into()],
        held_back: vec!["dns-anycast-resolver-v6".into()],
        foreign: vec!["198.51.100.1 udp/53".into()],
        vips_read: 5,
        application_servers_read: 9,
        settings_written: false,
        settings_refused: String::new(),
    }
}
