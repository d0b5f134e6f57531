use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples;

#[test]
fn a_line_for_each_vip() {
    assert_eq!(counters(&samples::vpp_lb_counters(), PLAIN), "\
Frontend       VIP                                   Service  Known packets  First packets  Untracked  Dropped  Route packets  Route bytes
mail           203.0.113.30                          tcp/25               0              0          0      512        1000000   1400000000
shop           203.0.113.10                          tcp/443         987654          12345          1        0        1000000   1400000000
shop-v6        2001:db8:ffff:ffff:ffff:ffff:ffff:10  tcp/443              4              2          0        0        1000000   1400000000
(no frontend)  203.0.113.99                          any                  0              0          0        0              -            -
700ms old
");
}

#[test]
fn lost_packets_stand_out() {
    let text = counters(&samples::vpp_lb_counters(), COLORED);
    for part in
        ["\x1b[31m512\x1b[0m", "\x1b[33m1\x1b[0m", "\x1b[33m(no frontend)\x1b[0m", "\x1b[2m700ms old\x1b[0m"]
    {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

#[test]
fn nothing_to_count_is_said() {
    assert_eq!(counters(&VpplbCounters::default(), PLAIN), "VPP has no VIPs.\n");
}
