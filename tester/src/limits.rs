//! What a test must keep to, for CI and drills. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::snapshot::{Snapshot, VipSnapshot};
use crate::sweep::Swept;

/// Limits; those that are not given are not checked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Requests of all VIPs that may fail, those of sweeps included.
    pub fail: Option<u64>,
    /// Length that the longest outage of a VIP may have.
    pub outage: Option<Duration>,
    /// Difference that a server's share may have from the expected one, 0 to 1.
    pub share: Option<f64>,
    /// Flows of all VIPs that may break, move or stall.
    pub lost_flows: Option<u64>,
}

/// Whether a test kept to its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was exceeded, a sentence each.
    pub exceeded: Vec<String>,
    /// Whether anything reached the network.
    pub has_tested: bool,
}

impl Limits {
    /// Judges the end of a test.
    pub fn judge(&self, snapshot: &Snapshot, sweeps: &[(String, Swept)]) -> Verdict {
        let vips = &snapshot.vips;
        let swept: u64 = sweeps.iter().map(|(_, swept)| u64::from(swept.failed)).sum();
        let failed = vips.iter().map(|vip| vip.failed).sum::<u64>() + swept;
        let mut exceeded = Vec::new();
        if let Some(most) = self.fail.filter(|most| failed > *most) {
            exceeded.push(format!("{failed} requests failed; at most {most} may (--max-fail)"));
        }
        for vip in vips {
            exceeded.extend(self.outage.and_then(|most| too_long(vip, most)));
            exceeded.extend(self.share.and_then(|most| too_different(vip, most)));
        }
        let flows = || vips.iter().filter_map(|vip| vip.flows.as_ref());
        let lost: u64 = flows().map(|flows| flows.broke + flows.moved + flows.stalled).sum();
        if let Some(most) = self.lost_flows {
            if lost > most {
                exceeded.push(format!(
                    "{lost} flows broke, moved or stalled; at most {most} may (--max-lost-flows)"
                ));
            }
            for vip in vips.iter().filter(|vip| vip.flows.as_ref().is_some_and(|flows| flows.exchanged == 0))
            {
                exceeded.push(format!("no flow of {} was ever answered (--max-lost-flows)", vip.vip));
            }
        }
        let has_tested = vips.iter().any(|vip| vip.sent > 0)
            || flows().any(|flows| flows.exchanged > 0)
            || sweeps.iter().any(|(_, swept)| swept.probed > 0);
        Verdict { exceeded, has_tested }
    }
}

fn too_long(vip: &VipSnapshot, most: Duration) -> Option<String> {
    let longest = vip.outages.longest.as_ref()?;
    let length = Duration::from_millis(longest.ms);
    (length > most).then(|| {
        let (length, most) = (humantime::format_duration(length), humantime::format_duration(most));
        format!("{} was out for {length}; at most {most} is allowed (--max-outage)", vip.vip)
    })
}

/// What cannot be compared cannot pass.
fn too_different(vip: &VipSnapshot, most: f64) -> Option<String> {
    let limit = format!("at most {:.2} % is allowed (--expect-share)", most * 100.0);
    match vip.worst_difference {
        Some(worst) if worst > most => {
            Some(format!("a server's share of {} is {:.2} % off; {limit}", vip.vip, worst * 100.0))
        }
        Some(_) => None,
        None => Some(format!(
            "shares of {} cannot be compared: no buckets are known, or requests are not hashed one by one; {limit}",
            vip.vip
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::samples::two_vips;

    #[test]
    fn what_is_exceeded_is_named_and_the_rest_passes() {
        let snapshot = two_vips();
        assert_eq!(Limits::default().judge(&snapshot, &[]), Verdict { exceeded: vec![], has_tested: true });
        let wide =
            Limits { fail: Some(54), outage: Some(Duration::from_secs(5)), share: None, lost_flows: Some(2) };
        assert!(wide.judge(&snapshot, &[]).exceeded.is_empty());
        let swept = Swept { failed: 1, probed: 1024, ..Swept::default() };
        let tight = Limits {
            fail: Some(54),
            outage: Some(Duration::from_millis(300)),
            share: Some(0.001),
            lost_flows: Some(1),
        };
        assert_eq!(
            tight.judge(&snapshot, &[("www".to_owned(), swept)]).exceeded,
            [
                "55 requests failed; at most 54 may (--max-fail)",
                "a server's share of www is 0.40 % off; at most 0.10 % is allowed (--expect-share)",
                "dns was out for 5s; at most 300ms is allowed (--max-outage)",
                "shares of dns cannot be compared: no buckets are known, or requests are not hashed one by one; at most \
                 0.10 % is allowed (--expect-share)",
                "2 flows broke, moved or stalled; at most 1 may (--max-lost-flows)",
            ]
        );
    }

    #[test]
    fn flows_that_never_were_do_not_pass() {
        let mut snapshot = two_vips();
        let flows = snapshot.vips[0].flows.as_mut().unwrap();
        (flows.exchanged, flows.broke, flows.moved) = (0, 0, 0);
        let limits = Limits { lost_flows: Some(0), ..Limits::default() };
        assert_eq!(
            limits.judge(&snapshot, &[]).exceeded,
            ["no flow of www was ever answered (--max-lost-flows)"]
        );
    }
}
