//! What raw sockets of all kinds need: checksums, and the meaning of errors.

use std::io;
use std::net::IpAddr;

use maglev_protocol::is_local;
use nix::errno::Errno;

/// The Internet checksum (RFC 1071): 0 over a message that includes its correct checksum.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let (words, last) = bytes.as_chunks::<2>();
    let odd = last.first().map_or(0, |byte| u16::from_be_bytes([*byte, 0]));
    let folded = words.iter().fold(odd, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(*word));
        sum + u16::from(carry)
    });
    !folded
}

/// Whether the kernel refused a packet to this target for a local cause, and why.
pub(crate) fn why_refused(error: &io::Error, target: IpAddr) -> (bool, String) {
    let errno = error.raw_os_error();
    let reason = match errno.map(Errno::from_raw) {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => format!("no route to {target} ({error})"),
        Some(Errno::EINVAL) => format!("the route to {target} is a blackhole ({error})"),
        Some(Errno::EACCES) => {
            format!("{target} is a broadcast address, or its route prohibits it ({error})")
        }
        Some(Errno::EMSGSIZE) => format!("too big for the path to {target} ({error})"),
        Some(Errno::EPERM) => format!("a packet filter of this machine forbids it ({error})"),
        Some(Errno::EADDRNOTAVAIL) => format!("no source address for {target} ({error})"),
        _ => format!("the kernel refused to send to {target}: {error}"),
    };
    (errno.is_none_or(is_local), reason)
}
