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
    for value in 0.. {
        let Ok(state) = BackendState::try_from(value) else {
            break;
        };
        assert_eq!(format!("BACKEND_STATE_{}", state.word().to_uppercase()), state.as_str_name());
    }
    for value in 0.. {
        let Ok(state) = FrontendState::try_from(value) else {
            break;
        };
        assert_eq!(format!("FRONTEND_STATE_{}", state.word().to_uppercase()), state.as_str_name());
    }
    for value in 0.. {
        let Ok(state) = SyncState::try_from(value) else {
            break;
        };
        let name = format!("SYNC_STATE_{}", state.word().to_uppercase().replace('-', "_"));
        assert_eq!(name, state.as_str_name());
    }
}
