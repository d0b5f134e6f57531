//! Judges the answer of a gRPC health service. Pure.

use compact_str::{CompactString, format_compact};
use maglev_engine::outcome::{Finding, ProbeCode};
use prost::Message;

use crate::http::Quote;

/// Length of the prefix of a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;
/// Maximum length of a message with its prefix, in bytes.
pub(super) const LONGEST_MESSAGE: usize = 4096;

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Names of a service's states, by their numbers.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: i32 = 1;

/// Names of gRPC's status codes, by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// An answer, as far as it has come.
#[derive(Debug, Clone)]
pub struct GrpcAnswer {
    http_status: u16,
    content_type: Option<Vec<u8>>,
    status: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl GrpcAnswer {
    /// An answer of which the headers are known.
    pub fn new(http_status: u16, header: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let content_type = header("content-type");
        let mut answer = Self { http_status, content_type, status: None, message: None, body: Vec::new() };
        // An answer without a message has everything in one.
        answer.end(header);
        answer
    }

    /// Takes the next bytes of the body. Returns whether they are within the limit.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let fits = self.body.len().saturating_add(bytes.len()) <= LONGEST_MESSAGE;
        if fits {
            self.body.extend_from_slice(bytes);
        }
        fits
    }

    /// Takes the trailers.
    pub fn end(&mut self, trailer: impl Fn(&str) -> Option<Vec<u8>>) {
        self.status = trailer("grpc-status").or(self.status.take());
        self.message = trailer("grpc-message").or(self.message.take());
    }

    /// The verdict on the whole answer.
    pub fn verdict(&self) -> Finding {
        if self.http_status != 200 {
            return (ProbeCode::L7Sts, format_compact!("HTTP {}", self.http_status));
        }
        let content_type = self.content_type.as_deref().unwrap_or_default();
        if !content_type.starts_with(b"application/grpc") {
            return bad(format_compact!("not gRPC, but content-type {}", Quote::new(content_type)));
        }
        let Some(given) = &self.status else {
            return bad(CompactString::const_new("the answer has no grpc-status"));
        };
        let status = std::str::from_utf8(given).ok().and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(0) => self.judge_state(),
            Some(status) => {
                let name = STATUSES.get(usize::from(status)).copied().unwrap_or("an unknown status");
                let why = self.message.as_deref().filter(|message| !message.is_empty()).map(Quote::new);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                (ProbeCode::L7Sts, format_compact!("gRPC status {status}, {name}{why}"))
            }
            None => bad(format_compact!("bad grpc-status: {}", Quote::new(given))),
        }
    }

    fn judge_state(&self) -> Finding {
        let Some((&[compressed, a, b, c, d], message)) = self.body.split_first_chunk::<PREFIX>() else {
            return bad(format_compact!("{} bytes instead of a message", self.body.len()));
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if compressed != 0 || usize::try_from(length) != Ok(message.len()) {
            return bad(format_compact!(
                "a message of {length} bytes in {}, or a compressed one",
                message.len()
            ));
        }
        match HealthCheckResponse::decode(message) {
            Ok(HealthCheckResponse { status: SERVING }) => {
                (ProbeCode::L7Ok, CompactString::const_new("gRPC SERVING"))
            }
            Ok(HealthCheckResponse { status }) => {
                let name = usize::try_from(status).ok().and_then(|status| STATES.get(status));
                (ProbeCode::L7Sts, format_compact!("gRPC {}", name.unwrap_or(&"in an unknown state")))
            }
            Err(error) => bad(format_compact!("malformed message: {error}")),
        }
    }
}

fn bad(why: CompactString) -> Finding {
    (ProbeCode::L7Rsp, why)
}

#[cfg(test)]
mod tests;
