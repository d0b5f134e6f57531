use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples::{self, NOW};

const PRESENT: Moment = Moment(NOW);

#[test]
fn info_of_a_connected_vpp() {
    let expected = "\
Agent            connected
Agent socket     /run/maglev/dpagent.sock
Agent version    0.2.0
VPP              connected
VPP version      26.10-rc0~374
LB API           1.2.0
Build date       2026-08-12T09:00:00
Build directory  /build/vpp
PID              4711
Started          2026-11-16T01:12:03.250Z (5d3h ago)
Connected        2026-11-21T03:58:01.250Z (14m2s ago)
";
    assert_eq!(info(&samples::vpp_info(), PRESENT, PLAIN), expected);
}

#[test]
fn info_of_an_incompatible_vpp_says_what_it_lacks() {
    let old = VppInfo {
        state: "incompatible".into(),
        version: "23.02-release".into(),
        lb_api: String::new(),
        reason: "lacks lb_add_del_as; needs VPP 23.06".into(),
        build_date: String::new(),
        build_directory: String::new(),
        pid: 0,
        boot_time_unix_ms: 0,
        connected_unix_ms: 0,
        ..samples::vpp_info()
    };
    let expected = "\
\x1b[1mAgent\x1b[0m          \x1b[32mconnected\x1b[0m
\x1b[1mAgent socket\x1b[0m   /run/maglev/dpagent.sock
\x1b[1mAgent version\x1b[0m  0.2.0
\x1b[1mVPP\x1b[0m            \x1b[31mincompatible: lacks lb_add_del_as; needs VPP 23.06\x1b[0m
\x1b[1mVPP version\x1b[0m    23.02-release
";
    assert_eq!(info(&old, PRESENT, COLORED), expected);
}

#[test]
fn info_without_the_agent_says_why() {
    let away = VppInfo {
        agent: Some(maglev_proto::AgentInfo {
            connected: false,
            reason: "no such file or directory".into(),
            socket: "/run/maglev/dpagent.sock".into(),
            version: String::new(),
            ..maglev_proto::AgentInfo::default()
        }),
        state: "unknown".into(),
        reason: "the agent is disconnected".into(),
        ..VppInfo::default()
    };
    let expected = "\
Agent         not connected: no such file or directory
Agent socket  /run/maglev/dpagent.sock
VPP           unknown: the agent is disconnected
";
    assert_eq!(info(&away, PRESENT, PLAIN), expected);
}

#[test]
fn lb_state_shows_each_vip_with_its_servers() {
    let expected = "\
IPv4 source     192.0.2.1
IPv6 source     2001:db8::1
Sticky buckets  65536 per core
Flow timeout    40s

mail  203.0.113.30 tcp/25
  encap gre4, table 1024, src-ip-sticky no, index 3
  No application servers: VPP drops what comes for this VIP.

shop  203.0.113.10 tcp/443
  encap gre4, table 1024, src-ip-sticky no, index 1
  Address   Backend  Weight  Buckets   Share  Flows
  10.0.0.1  web1          2      683  66.70%   1204
  10.0.0.2  web2          0        0   0.00%     17
  10.0.0.3  web3          1      341  33.30%    633
  10.0.9.1  sorry         0        0   0.00%      0

shop-v6  2001:db8:ffff:ffff:ffff:ffff:ffff:10 tcp/443
  encap gre6, table 65536, src-ip-sticky yes, index 2
  Address                              Backend                  Weight  Buckets    Share  Flows
  2001:db8::1:1                        web1-v6                     100    65535  >99.99%      9
  2001:db8:ffff:ffff:ffff:ffff:ffff:2  web2-v6-in-the-far-hall       1        1   <0.01%      0

(no frontend)  203.0.113.99 any
  encap gre4, table 1024, src-ip-sticky no, index 7
  Address     Backend  Weight  Buckets    Share  Flows
  192.0.2.77  -             1     1024  100.00%      0

312ms old
";
    assert_eq!(lb_state(&samples::vpp_lb_state(), PLAIN), expected);
}

#[test]
fn lb_state_marks_what_no_frontend_wants() {
    let mut state = samples::vpp_lb_state();
    state.conf = None;
    state.vips.drain(..3);
    let expected = "\
\x1b[33m(no frontend)\x1b[0m  203.0.113.99 any
  encap gre4, table 1024, src-ip-sticky no, index 7
  \x1b[1mAddress\x1b[0m     \x1b[1mBackend\x1b[0m  \x1b[1mWeight\x1b[0m  \x1b[1mBuckets\x1b[0m    \
\x1b[1mShare\x1b[0m  \x1b[1mFlows\x1b[0m
  192.0.2.77  \x1b[2m-\x1b[0m             1     1024  100.00%      0

\x1b[2m312ms old\x1b[0m
";
    assert_eq!(lb_state(&state, COLORED), expected);
}

#[test]
fn lb_state_without_vips_says_so() {
    let mut state = samples::vpp_lb_state();
    state.vips.clear();
    assert!(lb_state(&state, PLAIN).ends_with("Flow timeout    40s\n\nVPP has no VIPs.\n\n312ms old\n"));
    assert_eq!(lb_state(&VpplbState::default(), PLAIN), "VPP has no VIPs.\n\n0s old\n");
}

#[test]
fn shares_are_rounded_but_never_to_nothing_or_everything() {
    let shares = [(0, 0), (0, 9), (1, 3), (2, 3), (1, 65_536), (65_535, 65_536), (7, 7), (u32::MAX, 1 << 34)];
    let words = shares.map(|(buckets, total)| share(buckets, total));
    let expected = ["0.00%", "0.00%", "33.33%", "66.67%", "<0.01%", ">99.99%", "100.00%", "25.00%"];
    assert_eq!(words, expected);
}
