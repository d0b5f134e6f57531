//! Overrides, and their progress in VPP.

use maglev_engine::config::Config;
use maglev_engine::core::{self, Done};
use maglev_engine::overrides::{self, BackendOverride, Remark, Stamp};
use maglev_engine::routes::Drain;
use maglev_proto::{FrontendOutcome, InVpp, LbDrainKind, Outcome, Override};

use super::unix_ms;

pub(in crate::grpc) fn entry(config: &Config, entry: &overrides::Override) -> Override {
    let (since_unix_ms, configured) = (unix_ms(entry.since()), entry.matches(config));
    let (set_by, reason, until_unix_ms) = remark(entry.stamp());
    match entry {
        overrides::Override::Backend { name, state, .. } => Override {
            backend: name.clone(),
            operator_state: operator_state(Some(*state)).into(),
            since_unix_ms,
            set_by,
            reason,
            until_unix_ms,
            configured,
            configured_enabled: config.backends.get(name).map(|backend| backend.enabled),
            ..Override::default()
        },
        overrides::Override::Weight { member, weight, .. } => Override {
            backend: member.backend.clone(),
            frontend: member.frontend.clone(),
            pool: member.pool.clone(),
            operator_weight: Some((*weight).into()),
            since_unix_ms,
            set_by,
            reason,
            until_unix_ms,
            configured,
            configured_weight: member.configured_weight(config).map(u32::from),
            ..Override::default()
        },
        overrides::Override::Lb { drain, .. } => Override {
            lb_drain: lb_drain(*drain).into(),
            since_unix_ms,
            set_by,
            reason,
            until_unix_ms,
            configured,
            ..Override::default()
        },
    }
}

/// Who set an override, why, and until when; empty and 0 where that is not known.
pub(super) fn remark(stamp: &Stamp) -> (String, String, u64) {
    let Remark { who, reason, until } = &stamp.remark;
    (who.as_deref().unwrap_or_default().to_owned(), reason.clone(), until.map_or(0, unix_ms))
}

pub(super) fn operator_state(set: Option<BackendOverride>) -> maglev_proto::BackendOverride {
    match set {
        None => maglev_proto::BackendOverride::None,
        Some(BackendOverride::Paused) => maglev_proto::BackendOverride::Paused,
        Some(BackendOverride::Disabled) => maglev_proto::BackendOverride::Disabled,
        Some(BackendOverride::Enabled) => maglev_proto::BackendOverride::Enabled,
    }
}

pub(super) fn lb_drain(drain: Drain) -> LbDrainKind {
    match drain {
        Drain::Withdraw => LbDrainKind::Withdraw,
        Drain::Gshut => LbDrainKind::Gshut,
    }
}

pub(in crate::grpc) fn outcome(done: Done) -> Outcome {
    let (in_vpp, vpp_error) = in_vpp(done.in_vpp());
    let frontends = done.asked.iter().filter_map(|asked| {
        let frontend = asked.frontend.as_deref()?.to_owned();
        let (in_vpp, vpp_error) = self::in_vpp(&asked.in_vpp);
        Some(FrontendOutcome { frontend, in_vpp: in_vpp.into(), vpp_error })
    });
    let frontends = frontends.collect();
    let not_kept = done.not_kept.unwrap_or_default();
    Outcome { in_vpp: in_vpp.into(), vpp_error, not_kept, frontends, members: Vec::new() }
}

fn in_vpp(in_vpp: &core::InVpp) -> (InVpp, String) {
    match in_vpp {
        core::InVpp::NotAsked => (InVpp::NotAsked, String::new()),
        core::InVpp::Acknowledged => (InVpp::Acknowledged, String::new()),
        core::InVpp::HeldBack => (InVpp::HeldBack, String::new()),
        core::InVpp::Away(reason) => (InVpp::Away, reason.clone()),
        core::InVpp::Refused(reason) => (InVpp::Refused, reason.clone()),
        core::InVpp::Late => (InVpp::Late, String::new()),
    }
}
