//! Compiles `maglev.proto` with a protobuf compiler written in Rust, so that no `protoc` is needed.
//!
//! The text form for operators is derived from the descriptors: each enum gets a word per value, and each
//! enum field a serializer that writes the word. An enum for which that fails breaks the build.

use std::fmt::Write;
use std::path::PathBuf;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{EnumDescriptorProto, FieldDescriptorProto};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=maglev.proto");
    let descriptors = protox::compile(["maglev.proto"], ["."])?;
    // For reflection: any client learns the interface from the server itself.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("maglev.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .emit_rerun_if_changed(false);
    let (mut words, mut messages) = (String::new(), String::new());
    for file in &descriptors.file {
        for enumeration in &file.enum_type {
            words += &words_of(enumeration)?;
        }
        for message in &file.message_type {
            if !message.nested_type.is_empty() || !message.enum_type.is_empty() {
                return Err(
                    format!("{} has a type of its own: move it to the top level", message.name()).into()
                );
            }
            writeln!(messages, "{:?} crate::{},", message.name(), type_name(message.name()))?;
            let path = format!("{}.{}", file.package(), message.name());
            for field in &message.field {
                let oneof = match field.oneof_index {
                    Some(index) if !field.proto3_optional() => {
                        message.oneof_decl.get(usize::try_from(index)?)
                    }
                    _ => None,
                };
                let path = oneof.map_or(path.clone(), |oneof| format!("{path}.{}", oneof.name()));
                if let Some(serializer) = serializer(field)?.or_else(|| absent(field)) {
                    config = config.field_attribute(format!(".{path}.{}", field.name()), serializer);
                }
            }
            for oneof in message.oneof_decl.iter().filter(|oneof| !oneof.name().starts_with('_')) {
                let name = format!("{}.{}", message.name(), oneof.name());
                config = config
                    .type_attribute(
                        format!(".{}.{name}", file.package()),
                        "#[serde(rename_all = \"snake_case\")]",
                    )
                    // Without a leading dot, it matches only the field itself, not everything below it.
                    .field_attribute(name, "#[serde(flatten)]");
            }
        }
    }
    std::fs::write(out.join("words.rs"), words)?;
    std::fs::write(out.join("messages.rs"), format!("messages! {{ {messages} }}"))?;
    config.compile_fds(descriptors)?;
    Ok(())
}

/// The word of each value: what its name has beyond the enum's, in lower case, with dashes.
fn words_of(enumeration: &EnumDescriptorProto) -> Result<String, Box<dyn std::error::Error>> {
    let name = type_name(enumeration.name());
    let mut prefix = String::new();
    for (index, character) in name.chars().enumerate() {
        if index > 0 && character.is_ascii_uppercase() {
            prefix.push('_');
        }
        prefix.push(character.to_ascii_uppercase());
    }
    let mut arms = String::new();
    for value in &enumeration.value {
        let word = value.name().strip_prefix(&prefix).and_then(|rest| rest.strip_prefix('_'));
        let word = word.ok_or_else(|| format!("{} must begin with {prefix}_", value.name()))?;
        let word = word.to_ascii_lowercase().replace('_', "-");
        writeln!(arms, "            {:?} => {word:?},", value.name())?;
    }
    Ok(format!(
        "impl Word for crate::{name} {{
    fn word(&self) -> &'static str {{
        match self.as_str_name() {{
{arms}            _ => UNSPECIFIED,
        }}
    }}
}}
"
    ))
}

/// Numbers that mean nothing when 0; so do all times.
const NOTHING_IF_ZERO: [&str; 9] = [
    "better_table_length",
    "hold_down_ms",
    "kept_table_length",
    "next_phase_in_ms",
    "panic_threshold",
    "pid",
    "port",
    "protocol",
    "slow_start_ms",
];

/// Strings that may be empty and still have a meaning.
const TEXTS: [&str; 3] = ["description", "message", "value"];

/// The attribute by which a field that stands for nothing is written as null.
fn absent(field: &FieldDescriptorProto) -> Option<String> {
    if field.label() == Label::Repeated || field.proto3_optional() || field.oneof_index.is_some() {
        return None;
    }
    let name = field.name();
    let is_absent = match field.r#type() {
        Type::String => !TEXTS.contains(&name),
        Type::Uint32 | Type::Uint64 => NOTHING_IF_ZERO.contains(&name) || name.ends_with("_unix_ms"),
        _ => false,
    };
    is_absent.then(|| "#[serde(serialize_with = \"crate::words::or_null\")]".to_owned())
}

/// The attribute by which a field with an enum is written as a word.
fn serializer(field: &FieldDescriptorProto) -> Result<Option<String>, Box<dyn std::error::Error>> {
    if field.r#type() != Type::Enum {
        return Ok(None);
    }
    if field.label() == Label::Repeated || field.proto3_optional() {
        return Err(format!("{}: no serializer for a repeated or optional enum", field.name()).into());
    }
    let name = type_name(field.type_name().rsplit('.').next().unwrap_or_default());
    Ok(Some(format!("#[serde(serialize_with = \"crate::words::serialize::<crate::{name}, _>\")]")))
}

/// What prost calls a type: of a run of capitals, only those that begin a word stay (`InVPP` is `InVpp`).
fn type_name(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let is = |index: Option<usize>, what: fn(&char) -> bool| {
        index.and_then(|index| letters.get(index)).is_some_and(what)
    };
    let begins_a_word = |index: usize| {
        !is(index.checked_sub(1), char::is_ascii_uppercase)
            || is(index.checked_add(1), char::is_ascii_lowercase)
    };
    let names = letters.iter().enumerate();
    names.map(|(i, c)| if begins_a_word(i) { *c } else { c.to_ascii_lowercase() }).collect()
}
