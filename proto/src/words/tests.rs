use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

use super::*;
use crate::frontend_event::Changed;
use crate::{
    Backend, BackendOverride, BackendState, FILE_DESCRIPTOR_SET, Frontend, FrontendEvent, FrontendState,
    InVpp, LogLevel, SyncState, Transition,
};

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

#[test]
fn words_are_the_tails_of_the_names_in_the_interface() {
    let words = |count| (0..count).map(of::<InVpp>).collect::<Vec<_>>();
    assert_eq!(
        words(8),
        ["unspecified", "not-asked", "acknowledged", "held-back", "away", "refused", "late", "unspecified"]
    );
    assert_eq!(of::<BackendOverride>(0), "none");
    assert_eq!(of::<LogLevel>(LogLevel::Warn.into()), "warn");
}

macro_rules! messages {
    ($($name:literal $message:ty,)*) => {
        [$(($name, serde_json::to_value(<$message>::default()).unwrap())),*]
    };
}

/// Walks the descriptors: every enum field is a word in JSON, whichever message it is in.
#[test]
fn no_enum_of_the_interface_is_a_number_in_json() {
    let json = BTreeMap::from(include!(concat!(env!("OUT_DIR"), "/messages.rs")));
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut enums = BTreeSet::new();
    let mut in_oneofs = Vec::new();
    for message in set.file.iter().flat_map(|file| &file.message_type) {
        for field in message.field.iter().filter(|field| field.r#type() == Type::Enum) {
            enums.insert(field.type_name().to_owned());
            if field.oneof_index.is_some() {
                in_oneofs.push(format!("{}.{}", message.name(), field.name()));
                continue;
            }
            let word = &json[message.name()][field.name()];
            assert!(word.is_string(), "{}.{} is {word}", message.name(), field.name());
        }
    }
    let declared = set.file.iter().flat_map(|file| &file.enum_type);
    assert_eq!(enums, declared.map(|found| format!(".maglev.{}", found.name())).collect());
    // A default message has nothing in a oneof.
    assert_eq!(in_oneofs, ["FrontendEvent.previous_state"]);
    let changed = Some(Changed::PreviousState(FrontendState::Up.into()));
    let event = serde_json::to_value(FrontendEvent { changed, ..FrontendEvent::default() }).unwrap();
    assert_eq!(event["previous_state"], "up");
}
