//! Which requests make sense at all.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use maglev_protocol::{EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};

/// Why an echo request was not tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoError {
    /// Payload too short or too long.
    #[error("an echo request of {size} bytes: it must be {MIN_ECHO_SIZE} to {MAX_ECHO_SIZE}")]
    Size {
        /// The size asked for.
        size: u16,
    },
    /// No time at all, or too much.
    #[error("an echo request that waits {timeout:?}: it must be above 0 and at most {MAX_ECHO_TIMEOUT:?}")]
    Timeout {
        /// The time asked for.
        timeout: Duration,
    },
    /// IPv4 to IPv6, or the reverse.
    #[error("an echo request from {from} to {target}: both must be IPv4, or both IPv6")]
    Family {
        /// The source asked for.
        from: IpAddr,
        /// The target asked for.
        target: IpAddr,
    },
    /// An address that is not one host's.
    #[error("an echo request to {target}, which is {what}: it must be the address of one host")]
    Target {
        /// The target asked for.
        target: IpAddr,
        /// What the address is.
        what: &'static str,
    },
    /// An address from which nothing can be sent.
    #[error("an echo request from {from}, which is {what}: it must be an address of this machine")]
    Source {
        /// The source asked for.
        from: IpAddr,
        /// What the address is.
        what: &'static str,
    },
    /// No place for another one. It may be tried again.
    #[error("{in_flight} echo requests are in flight, at most {most} may be: try again later")]
    TooMany {
        /// Requests in flight or waiting to be sent.
        in_flight: usize,
        /// The bound.
        most: usize,
    },
    /// Without random numbers answers could be forged.
    #[error("the kernel gives no random numbers: {reason}")]
    Random {
        /// What the kernel said.
        reason: String,
    },
    /// The task behind [`Pinger`](super::Pinger) has ended.
    #[error("the task that sends echo requests has ended")]
    Ended,
}

/// Refuses what could not be sent, or could be answered by more than one host.
///
/// # Errors
/// The first thing that is wrong.
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

/// What an address is that stands for no host, for several, or for one that depends on the interface. A network's own
/// broadcast address cannot be told by its looks: the kernel refuses it.
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
