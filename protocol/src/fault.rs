//! Socket errors that say nothing about a probe's target.

use nix::errno::Errno;

/// Whether an errno of a probe's socket is a fault of this machine alone, so that the probe has no verdict.
///
/// Any other errno is a failure of the target or of the path to it: ICMP and ICMPv6 errors, as Linux
/// translates them, and routes that refuse. `EACCES` is among those (administratively prohibited, a
/// `prohibit` route), and so is `EINVAL` (a `blackhole` route); `EPERM` is this machine's packet filter.
pub fn is_local(errno: i32) -> bool {
    matches!(
        Errno::from_raw(errno),
        // Resources exhausted: descriptors, memory, watches, ports.
        Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::ENOSPC
            | Errno::EAGAIN
            | Errno::EADDRINUSE
            // No source address, or no such interface.
            | Errno::EADDRNOTAVAIL
            | Errno::ENODEV
            // The kernel lacks the protocol.
            | Errno::EAFNOSUPPORT
            | Errno::EPROTONOSUPPORT
            | Errno::ESOCKTNOSUPPORT
            // Forbidden, or not carried out.
            | Errno::EPERM
            | Errno::ENOSYS
            | Errno::EINTR
    )
}

#[cfg(test)]
mod tests;
