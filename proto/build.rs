//! Compiles `maglev.proto` with a protobuf compiler written in Rust, so that no `protoc` is needed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=maglev.proto");
    let descriptors = protox::compile(["maglev.proto"], ["."])?;
    // For reflection: any client learns the interface from the server itself.
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("maglev.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .emit_rerun_if_changed(false);
    for (field, enumeration) in [
        ("Frontend.state", "FrontendState"),
        ("Frontend.sync", "SyncState"),
        ("PoolBackend.state", "BackendState"),
        ("Backend.state", "BackendState"),
        ("Transition.from", "BackendState"),
        ("Transition.to", "BackendState"),
        ("Backend.operator_state", "BackendOverride"),
        ("Override.operator_state", "BackendOverride"),
        ("Outcome.in_vpp", "InVpp"),
        ("CheckConfigResponse.verdict", "ConfigVerdict"),
        ("BrainStatus.warmup", "WarmupPhase"),
        ("HealthCheckUser.state", "BackendState"),
        ("BackendEvent.from", "BackendState"),
        ("BackendEvent.to", "BackendState"),
        ("FrontendEvent.state", "FrontendState"),
        ("FrontendEvent.changed.previous_state", "FrontendState"),
        ("LogLine.level", "LogLevel"),
    ] {
        let serializer =
            format!("#[serde(serialize_with = \"crate::words::serialize::<crate::{enumeration}, _>\")]");
        config = config.field_attribute(format!(".maglev.{field}"), serializer);
    }
    for oneof in ["Event.what", "FrontendEvent.changed"] {
        config = config
            .type_attribute(format!(".maglev.{oneof}"), "#[serde(rename_all = \"snake_case\")]")
            // Without a dot before it, it is the field itself, and not all below it.
            .field_attribute(oneof, "#[serde(flatten)]");
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
