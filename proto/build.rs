//! Compiles `maglev.proto` with a protobuf compiler written in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=maglev.proto");
    let descriptors = protox::compile(["maglev.proto"], ["."])?;
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
    ] {
        let serializer =
            format!("#[serde(serialize_with = \"crate::words::serialize::<crate::{enumeration}, _>\")]");
        config = config.field_attribute(format!(".maglev.{field}"), serializer);
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
