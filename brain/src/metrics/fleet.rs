//! Metrics of the fleet. Without one, there are none.

use maglev_engine::fleet::digest::Reason;

use super::catalogue as metrics;
use super::exposition::{Exposition, flag, number};
use crate::fleet::Status;
use crate::fleet::view::Link;

/// The words of all stages of a rollout.
const STAGES: [&str; 7] = ["canary", "soaking", "rest", "done", "failed", "aborted", "rolled-back"];

pub(super) fn write(status: Option<&Status>, out: &mut Exposition) {
    let Some(status) = status else { return };
    let labels = [("fleet", status.fleet.as_str()), ("member", status.member.as_str())];
    let is_connected = matches!(status.link, Link::Connected { .. });
    out.family(metrics::FLEET_CONNECTED, |family| family.add(&labels, flag(is_connected)));
    // Without etcd, nothing is known of the others.
    if is_connected {
        out.family(metrics::FLEET_MEMBERS, |family| {
            let away = status.members.iter().filter(|member| member.state.is_none()).count();
            let connected = status.members.len() - away;
            for (state, count) in [("connected", connected), ("away", away)] {
                family.add(&[("state", state)], number(count as u64));
            }
        });
        let rivals = status.members.iter().filter(|member| member.rival.is_some()).count();
        out.single(metrics::FLEET_RIVALS, number(rivals as u64));
        out.family(metrics::FLEET_TABLES, |family| {
            for reason in Reason::ALL {
                let count =
                    status.differences.iter().filter(|difference| difference.reason == reason).count();
                family.add(&[("reason", reason.word())], number(count as u64));
            }
        });
    }
    let own = status.members.iter().find(|member| member.info.name == status.member);
    let own = own.and_then(|own| own.state.as_ref());
    let revision = own.map(|own| own.running.as_ref().map_or(0, |running| running.revision));
    out.single(metrics::FLEET_REVISION, revision.map(number));
    out.single(metrics::FLEET_LOCAL, own.map(|own| number(own.local)));
    if let Some(rollout) = &status.rollout {
        out.family(metrics::FLEET_ROLLOUT, |family| {
            family.add_state(&[], "stage", &STAGES, rollout.stage.word());
        });
    }
    out.single(metrics::FLEET_CUT_OFF, flag(status.cut_off.is_some()));
    out.family(metrics::FLEET_OVERRULED, |family| {
        for (verdict, count) in [("kept", status.overruled.kept), ("down", status.overruled.down)] {
            family.add(&[("verdict", verdict)], number(count as u64));
        }
    });
    out.single(metrics::FLEET_REFUSED, number(status.refused.len() as u64));
}
