//! Results of probes, in HAProxy's terms.

mod word;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compact_str::CompactString;

pub use word::{LONGEST_WORD, Share, Word};

/// Result of a probe, and its description. Short ones, such as those of passes, need no memory of their own.
pub type Finding = (ProbeCode, CompactString);

/// Result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// Layer and kind of the result. Determines whether the probe passed.
    pub code: ProbeCode,
    /// Description: `HTTP 503`, `connection refused`.
    pub detail: CompactString,
    /// Time from the probe's start to its result.
    pub duration: Duration,
    /// The share of its weight that the server asks for; `None` if the check does not ask, or got no such answer.
    pub asked: Option<Share>,
}

impl ProbeOutcome {
    /// Whether the backend passed.
    pub fn passed(&self) -> bool {
        self.code.verdict() == Verdict::Passed
    }
}

/// What a probe says about its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend works.
    Passed,
    /// The backend does not work.
    Failed,
    /// Nothing: the probe could not be made, because of a local fault.
    NotKnown,
}

/// A finished probe.
#[derive(Debug)]
pub struct Report {
    /// Name of the backend.
    pub backend: Arc<str>,
    /// Index of the check among the backend's.
    pub check: usize,
    /// The result.
    pub outcome: ProbeOutcome,
    /// Delay of the probe's start after its due time.
    pub late: Duration,
    /// Time of its end.
    pub ended: Instant,
}

/// A probe and its time.
#[derive(Debug, Clone)]
pub struct LastProbe {
    /// Its result.
    pub outcome: ProbeOutcome,
    /// Time of its end.
    pub at: SystemTime,
    /// The same on the monotonic clock.
    pub ended: Instant,
    /// Delay of its start after its due time.
    pub late: Duration,
}

impl fmt::Display for ProbeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

/// The layer at which a probe ended, and how. The names are HAProxy's `check_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeCode {
    /// Passed without a probe: the backend has no check.
    Static,
    /// Passed at the transport layer.
    L4Ok,
    /// The connection attempt timed out.
    L4Tout,
    /// The connection failed: refused, unreachable, reset.
    L4Con,
    /// The TLS handshake succeeded; the check needs no more.
    L6Ok,
    /// Connected, but the TLS handshake timed out.
    L6Tout,
    /// The TLS handshake failed: no TLS, no common version, an untrusted certificate.
    L6Rsp,
    /// Passed at the application layer.
    L7Ok,
    /// Passed at the application layer, and asks for no new flows.
    L7Okc,
    /// Connected, but the response was not complete in time.
    L7Tout,
    /// The response violates the protocol, or the connection broke during it.
    L7Rsp,
    /// A valid response that the check does not accept.
    L7Sts,
    /// The probe could not be made: no socket, no such source address, no agent. Says nothing about the
    /// backend.
    SockErr,
}

impl ProbeCode {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Static,
        Self::L4Ok,
        Self::L4Tout,
        Self::L4Con,
        Self::L6Ok,
        Self::L6Tout,
        Self::L6Rsp,
        Self::L7Ok,
        Self::L7Okc,
        Self::L7Tout,
        Self::L7Rsp,
        Self::L7Sts,
        Self::SockErr,
    ];

    /// What this code says about the backend.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Static | Self::L4Ok | Self::L6Ok | Self::L7Ok | Self::L7Okc => Verdict::Passed,
            Self::L4Tout | Self::L4Con | Self::L6Tout | Self::L6Rsp => Verdict::Failed,
            Self::L7Tout | Self::L7Rsp | Self::L7Sts => Verdict::Failed,
            Self::SockErr => Verdict::NotKnown,
        }
    }

    /// HAProxy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::L4Ok => "L4OK",
            Self::L4Tout => "L4TOUT",
            Self::L4Con => "L4CON",
            Self::L6Ok => "L6OK",
            Self::L6Tout => "L6TOUT",
            Self::L6Rsp => "L6RSP",
            Self::L7Ok => "L7OK",
            Self::L7Okc => "L7OKC",
            Self::L7Tout => "L7TOUT",
            Self::L7Rsp => "L7RSP",
            Self::L7Sts => "L7STS",
            Self::SockErr => "SOCKERR",
        }
    }
}

impl fmt::Display for ProbeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
