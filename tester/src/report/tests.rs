use std::collections::BTreeMap;

use super::*;
use crate::snapshot::samples::two_vips;
use crate::sweep::SweptServer;

#[test]
fn report_has_everything_that_a_ticket_needs() {
    let swept = Swept {
        buckets: 1024,
        probed: 1023,
        unreached: 1,
        failed: 1,
        elsewhere: 2,
        servers: BTreeMap::from([(
            "web1".to_owned(),
            SweptServer { buckets: 1024, answered: 1022, failed: 1 },
        )]),
        failures: vec!["bucket 7 of web1, port 10007: L4TOUT: no answer".to_owned()],
    };
    let verdict = Verdict { exceeded: vec!["54 requests failed".to_owned()], has_tested: true };
    let text = text(&two_vips(), &[("www".to_owned(), swept)], &verdict);
    let expected = "\
2 VIPs for 60.0 s from 2026-11-30T12:00:00.000Z

VIP  Address          Request  State    Sent  Failed  Success  p50 ms  p95  p99   Max
www  198.51.100.1:80  http     up        600       4  99.33 %     0.8  1.9  4.2  31.0
dns  198.51.100.2:53  udp      failing    50      50   0.00 %     0.0  0.0  0.0   0.0

www, servers
  Server  Answers  Last 5 s      Run  Since change  Expected
  web1        240   40.00 %  40.00 %       40.00 %   40.00 %
  web2        356   60.00 %  60.00 %       60.00 %   60.00 %  has no buckets
  Shares are those of the buckets, within chance (p = 0.42)
  Delivered by: lb1 596

www, failures: timeout 1, reset 3
  2026-11-30T12:00:10.100Z  L7RSP: connection reset by peer before an answer

www, outages: 2, 400 ms in all
  Longest      300 ms from 2026-11-30T12:00:10.100Z, 3 failed
  Disturbance  900 ms from 2026-11-30T12:00:10.100Z, 4 failed

www, flows: 20 of 20 open; 1 broke, 1 moved, 0 stalled
  Answered 1180 times; by server: web1 8, web2 12
  2026-11-30T12:00:10.400Z  flow 3 moved  web1 -> web2

dns, failures: refused 50

dns, outages: 1, 5000 ms in all
  Longest      5000 ms from 2026-11-30T12:00:10.100Z, 50 failed
  Disturbance  5000 ms from 2026-11-30T12:00:10.100Z, 50 failed
  The last one goes on.

www, sweep: 1023 of 1024 buckets probed, 1 failed, 1 not reached
  Server  Buckets  Answered  Failed
  web1       1024      1022       1
  2 were answered by another server than the table has
  bucket 7 of web1, port 10007: L4TOUT: no answer

Exceeded: 54 requests failed
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn skewed_shares_are_called_so() {
    let mut vip = two_vips().vips.remove(0);
    vip.chance = Some(0.0001);
    assert!(chance(&vip).unwrap().contains("more than chance (p = 0.0001)"));
    vip.chance = None;
    assert_eq!(chance(&vip), None);
}
