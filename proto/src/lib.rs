//! The operators' gRPC interface of maglev-brain, generated from `maglev.proto`, where it is documented.

#[cfg(feature = "client")]
pub mod client;
pub mod words;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]
mod generated {
    tonic::include_proto!("maglev");
}

pub use generated::*;

/// The interface itself, as an encoded `FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/maglev.bin"));
