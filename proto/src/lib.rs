//! The operators' gRPC interface of maglev-brain, generated from `maglev.proto`, where it is documented.

pub mod words;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]
mod generated {
    tonic::include_proto!("maglev");
}

pub use generated::*;
