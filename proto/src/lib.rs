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

/// Metadata in which a program names the person on whose behalf it calls: printable ASCII without blanks, at most 64
/// characters. The interface takes it from admins only.
pub const PERSON_HEADER: &str = "maglev-person";

/// Metadata of a change that is only for the load balancer that is asked, and not for its fleet. Its value is not looked at.
pub const LOCAL_HEADER: &str = "maglev-local";

/// Metadata with the reason for a change: a line of UTF-8 of at most 200 characters.
pub const REASON_HEADER: &str = "maglev-reason-bin";
