use super::*;
use crate::{Backend, Frontend, Transition};

#[test]
fn json_has_words_where_the_wire_has_numbers() {
    let backend = Backend {
        name: "web1".into(),
        state: BackendState::Disabled.into(),
        transitions: vec![Transition {
            from: BackendState::Up.into(),
            to: BackendState::Disabled.into(),
            ..Transition::default()
        }],
        ..Backend::default()
    };
    let json = serde_json::to_value(&backend).unwrap();
    assert_eq!(json["state"], "disabled");
    assert_eq!(json["transitions"][0]["from"], "up");
    let frontend =
        Frontend { state: FrontendState::Up.into(), sync: SyncState::HeldBack.into(), ..Frontend::default() };
    let json = serde_json::to_value(&frontend).unwrap();
    assert_eq!(json["state"], "up");
    assert_eq!(json["sync"], "held-back");
}

#[test]
fn value_of_a_newer_peer_is_unspecified() {
    assert_eq!(of::<BackendState>(99), "unspecified");
}

/// Every value's word is the tail of its name in `maglev.proto`.
#[test]
fn words_agree_with_the_names_in_the_interface() {
    fn check<E: Word>(prefix: &str, name_of: fn(&E) -> &'static str) {
        let values = (0..).map_while(|value| E::try_from(value).ok());
        let mut count = 0;
        for value in values {
            let word = value.word().to_uppercase().replace('-', "_");
            assert_eq!(format!("{prefix}_{word}"), name_of(&value));
            count += 1;
        }
        assert!(count > 2, "{prefix}");
    }
    check::<BackendState>("BACKEND_STATE", BackendState::as_str_name);
    check::<FrontendState>("FRONTEND_STATE", FrontendState::as_str_name);
    check::<SyncState>("SYNC_STATE", SyncState::as_str_name);
    check::<BackendOverride>("BACKEND_OVERRIDE", BackendOverride::as_str_name);
    check::<InVpp>("IN_VPP", InVpp::as_str_name);
    check::<ConfigVerdict>("CONFIG_VERDICT", ConfigVerdict::as_str_name);
    check::<WarmupPhase>("WARMUP_PHASE", WarmupPhase::as_str_name);
}
