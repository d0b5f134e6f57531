//! Classes of failures, by which they are counted. Pure.

use std::fmt;

use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Verdict};
use serde::Serialize;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The connection was refused.
    Refused,
    /// No answer in time, at any layer.
    Timeout,
    /// The connection was reset or closed before the answer was complete.
    Reset,
    /// No route, or prohibited on the way.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// An HTTP status, or a body, that the check does not accept.
    Status,
    /// An answer that breaks the protocol.
    Malformed,
    /// The request could not be made: no source address, no socket. Says nothing of the VIP.
    Local,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Timeout,
        Self::Reset,
        Self::Unreachable,
        Self::Tls,
        Self::Status,
        Self::Malformed,
        Self::Local,
    ];

    /// The class of a failure; `None` if the request was answered well.
    pub fn of(outcome: &ProbeOutcome) -> Option<Self> {
        let begins = |words: &[&str]| words.iter().any(|word| outcome.detail.starts_with(word));
        let is_broken = begins(&["connection reset", "broken pipe", "closed "]);
        Some(match outcome.code {
            code if code.verdict() == Verdict::Passed => return None,
            ProbeCode::L4Tout | ProbeCode::L6Tout | ProbeCode::L7Tout => Self::Timeout,
            ProbeCode::L4Con if begins(&["connection refused"]) => Self::Refused,
            ProbeCode::L4Con if !is_broken => Self::Unreachable,
            ProbeCode::L6Rsp if !is_broken && !begins(&["connection closed"]) => Self::Tls,
            ProbeCode::L7Rsp if !is_broken => Self::Malformed,
            ProbeCode::L4Con | ProbeCode::L6Rsp | ProbeCode::L7Rsp => Self::Reset,
            ProbeCode::L7Sts => Self::Status,
            _ => Self::Local,
        })
    }

    /// As it is shown and exported.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_code_has_its_class() {
        for (code, detail, class) in [
            (ProbeCode::L4Ok, "connected", None),
            (ProbeCode::L6Ok, "TLS handshake complete", None),
            (ProbeCode::L7Ok, "HTTP 200", None),
            (ProbeCode::Static, "", None),
            (ProbeCode::L4Con, "connection refused", Some(Class::Refused)),
            (ProbeCode::L4Con, "no route to host", Some(Class::Unreachable)),
            (ProbeCode::L4Con, "connection reset by peer", Some(Class::Reset)),
            (ProbeCode::L4Tout, "no answer to the connection attempt", Some(Class::Timeout)),
            (ProbeCode::L6Tout, "", Some(Class::Timeout)),
            (ProbeCode::L6Rsp, "the certificate has expired", Some(Class::Tls)),
            (ProbeCode::L6Rsp, "connection closed during the TLS handshake", Some(Class::Reset)),
            (ProbeCode::L7Tout, "", Some(Class::Timeout)),
            (ProbeCode::L7Rsp, "connection reset by peer before an answer", Some(Class::Reset)),
            (ProbeCode::L7Rsp, "closed after 3 of 5 bytes of the body", Some(Class::Reset)),
            (ProbeCode::L7Rsp, "not HTTP: \"closed\"", Some(Class::Malformed)),
            (ProbeCode::L7Sts, "HTTP 503", Some(Class::Status)),
            (ProbeCode::SockErr, "cannot probe from 192.0.2.1", Some(Class::Local)),
        ] {
            let outcome = ProbeOutcome { code, detail: detail.into(), duration: Duration::ZERO, asked: None };
            assert_eq!(Class::of(&outcome), class, "{code}: {detail}");
        }
    }
}
