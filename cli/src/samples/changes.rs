//! Sample commands of operators, and their results.

use maglev_proto::{
    Backend, BackendOverride, BackendState, ChangeBackendResponse, CheckConfigResponse,
    ClearOverrideResponse, ConfigDifference, ConfigVerdict, Frontend, FrontendOutcome, FrontendPreview,
    InVpp, ListOverridesResponse, Outcome, Override, PreviewChangeResponse, RecreateVipResponse,
    ReloadConfigResponse, SetFrontendPoolBackendWeightResponse, Severity, VipChange,
};

use super::{DAY, MINUTE, NOW, SECOND, shop, web1, web3};

/// A backend, a weight, and one without a target in the configuration.
pub(crate) fn overrides() -> ListOverridesResponse {
    let gone = Override {
        backend: "web0".into(),
        operator_state: BackendOverride::Disabled.into(),
        since_unix_ms: NOW - 5 * DAY,
        ..Override::default()
    };
    let paused = Override {
        backend: "web1".into(),
        operator_state: BackendOverride::Paused.into(),
        since_unix_ms: NOW - 45 * SECOND,
        configured: true,
        configured_enabled: Some(true),
        set_by: "user alice (uid 1000)".into(),
        reason: "RAM swap".into(),
        until_unix_ms: NOW + 2 * 3_600_000,
        ..Override::default()
    };
    ListOverridesResponse { overrides: vec![gone, paused, weight_of_web3()] }
}

fn weight_of_web3() -> Override {
    Override {
        backend: "web3".into(),
        frontend: "shop".into(),
        pool: "primary".into(),
        operator_weight: Some(50),
        since_unix_ms: NOW - 10 * MINUTE,
        configured: true,
        configured_weight: Some(100),
        ..Override::default()
    }
}

/// The same progress in all of these frontends.
pub(crate) fn outcome(in_vpp: InVpp, frontends: &[&str]) -> Option<Outcome> {
    let of = |frontend: &&str| FrontendOutcome {
        frontend: (*frontend).to_owned(),
        in_vpp: in_vpp.into(),
        ..FrontendOutcome::default()
    };
    let frontends = frontends.iter().map(of).collect();
    Some(Outcome { in_vpp: in_vpp.into(), frontends, ..Outcome::default() })
}

/// Paused just now.
pub(crate) fn paused() -> ChangeBackendResponse {
    let backend = Backend {
        state: BackendState::Paused.into(),
        operator_state: BackendOverride::Paused.into(),
        operator_since_unix_ms: NOW,
        ..web1()
    };
    ChangeBackendResponse {
        backend: Some(backend),
        outcome: outcome(InVpp::Acknowledged, &["api", "shop"]),
        ..ChangeBackendResponse::default()
    }
}

/// A weight overridden and programmed in VPP.
pub(crate) fn weight_set() -> SetFrontendPoolBackendWeightResponse {
    SetFrontendPoolBackendWeightResponse {
        backend: Some(web3()),
        outcome: outcome(InVpp::Acknowledged, &["shop"]),
        frontend: "shop".into(),
        pool: "primary".into(),
    }
}

/// That override removed, while VPP is disconnected.
pub(crate) fn cleared() -> ClearOverrideResponse {
    ClearOverrideResponse {
        cleared: Some(weight_of_web3()),
        backend: Some(web1()),
        outcome: outcome(InVpp::Away, &["shop"]),
    }
}

/// Re-created with the desired table length.
pub(crate) fn recreated() -> RecreateVipResponse {
    let frontend = Frontend { kept_table_length: 0, ..shop() };
    RecreateVipResponse {
        frontend: Some(frontend),
        outcome: outcome(InVpp::Acknowledged, &["shop"]),
        recreated: true,
    }
}

const WARNING: &str = "\
/etc/maglev/maglev.yaml:31:5: warning: no frontend uses backend `web4`
   |
31 |     web4: { address: 10.0.0.4, healthcheck: http-alive, enabled: false }
   |     ^^^^
   = help: it is probed, and gets no traffic: put it in a pool, or remove it";

/// Valid, with a warning.
pub(crate) fn checked() -> CheckConfigResponse {
    CheckConfigResponse {
        file: "/etc/maglev/maglev.yaml".into(),
        verdict: ConfigVerdict::Fine.into(),
        findings: vec![WARNING.into()],
        errors: 0,
        warnings: 1,
        changes: "1 backend added (web4), 1 removed (web0)".into(),
        preview: Some(notice()),
        differences: vec![ConfigDifference {
            key: "frontends.shop.pools.primary.backends.web1.weight".into(),
            old: Some("100".into()),
            new: Some("10".into()),
        }],
        differences_left_out: 0,
    }
}

/// The preview of that.
fn notice() -> PreviewChangeResponse {
    let frontend = FrontendPreview {
        frontend: "shop".into(),
        severity: Severity::Notice.into(),
        sentences: vec!["204 of 1024 buckets move to other servers".into()],
        ..FrontendPreview::default()
    };
    PreviewChangeResponse {
        state: 17,
        severity: Severity::Notice.into(),
        sentences: Vec::new(),
        frontends: vec![frontend],
        members: Vec::new(),
    }
}

/// The same, reloaded.
pub(crate) fn reloaded() -> ReloadConfigResponse {
    let CheckConfigResponse { file, findings, changes, .. } = checked();
    let unmatched = overrides().overrides.drain(..1).collect();
    ReloadConfigResponse {
        file,
        changes,
        warnings: findings,
        unmatched,
        outcome: outcome(InVpp::Acknowledged, &[]),
        config: None,
    }
}

/// Preview of disabling the last healthy backend.
pub(crate) fn danger() -> PreviewChangeResponse {
    let frontend = FrontendPreview {
        frontend: "shop".into(),
        vip: "203.0.113.10 tcp/443".into(),
        change: VipChange::Kept.into(),
        severity: Severity::Danger.into(),
        sentences: vec![
            "no backend left: new flows are dropped".into(),
            "1,204 flows of web1 are cut at once".into(),
        ],
        ..FrontendPreview::default()
    };
    PreviewChangeResponse {
        state: 17,
        severity: Severity::Danger.into(),
        sentences: Vec::new(),
        frontends: vec![frontend],
        members: Vec::new(),
    }
}
