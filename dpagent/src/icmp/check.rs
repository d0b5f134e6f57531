//! Validation of echo requests.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use maglev_protocol::{EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};

/// Why an echo request was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoError {
    /// Payload too short or too long.
    #[error("an echo request of {size} bytes: it must be {MIN_ECHO_SIZE} to {MAX_ECHO_SIZE}")]
    Size {
        /// The requested size, in bytes.
        size: u16,
    },
    /// The timeout is zero or too long.
    #[error(
        "an echo request with a timeout of {timeout:?}: the timeout must be above 0 and at most \
        {MAX_ECHO_TIMEOUT:?}"
    )]
    Timeout {
        /// The requested timeout.
        timeout: Duration,
    },
    /// Source and target are of different address families.
    #[error("an echo request from {from} to {target}: both must be IPv4, or both IPv6")]
    Family {
        /// The requested source.
        from: IpAddr,
        /// The requested target.
        target: IpAddr,
    },
    /// The target is not a single host's address.
    #[error("an echo request to {target}, which is {what}: it must be the address of one host")]
    Target {
        /// The requested target.
        target: IpAddr,
        /// What the address is.
        what: &'static str,
    },
    /// The source is not an address that packets can be sent from.
    #[error("an echo request from {from}, which is {what}: it must be an address of this machine")]
    Source {
        /// The requested source.
        from: IpAddr,
        /// What the address is.
        what: &'static str,
    },
    /// Too many requests in flight. May be retried.
    #[error("{in_flight} echo requests are in flight, at most {most} may be: try again later")]
    TooMany {
        /// Requests in flight or waiting to be sent.
        in_flight: usize,
        /// The bound.
        most: usize,
    },
    /// No random numbers. Without them replies could be forged.
    #[error("the kernel has no random numbers: {reason}")]
    Random {
        /// The kernel's error.
        reason: String,
    },
    /// The task behind [`Pinger`](super::Pinger) has ended.
    #[error("the task that sends echo requests has ended")]
    Ended,
}

/// Rejects a request that could not be sent, or that several hosts could answer.
///
/// # Errors
/// The first mistake found.
pub(super) fn check(request: &EchoRequest) -> Result<(), EchoError> {
    let EchoRequest { target, source, timeout, size } = *request;
    if !(MIN_ECHO_SIZE..=MAX_ECHO_SIZE).contains(&size) {
        return Err(EchoError::Size { size });
    }
    if timeout.is_zero() || timeout > MAX_ECHO_TIMEOUT {
        return Err(EchoError::Timeout { timeout });
    }
    if let Some(what) = not_one_host(&target) {
        return Err(EchoError::Target { target, what });
    }
    let Some(source) = source else { return Ok(()) };
    if source.is_ipv4() != target.is_ipv4() {
        return Err(EchoError::Family { from: source, target });
    }
    if let Some(what) = not_one_host(&source) {
        return Err(EchoError::Source { from: source, what });
    }
    Ok(())
}

/// Describes an address that stands for no host, for several, or for one that depends on the interface. A
/// network's own broadcast address cannot be recognized here; the kernel refuses it.
fn not_one_host(address: &IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(address) if address.is_broadcast() => Some("the broadcast address"),
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            Some("a link-local address, which means nothing without an interface")
        }
        IpAddr::V6(address) if is_mapped(address) => {
            Some("an IPv4 address mapped into IPv6, which must be written as IPv4")
        }
        _ => None,
    }
}

fn is_mapped(address: &Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests;
