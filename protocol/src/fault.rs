//! Which errors of a probe's socket say nothing of its target.

use nix::errno::Errno;

/// Whether an errno of a probe's socket is a fault of this machine alone, so that the probe has no verdict.
///
/// Every other one is a failure of the target or of the way to it: ICMP's and ICMPv6's errors, as Linux translates
/// them, and routes that refuse. `EACCES` is among those (administratively prohibited, a `prohibit` route), and so is
/// `EINVAL` (a `blackhole` route); `EPERM` is this machine's packet filter.
pub fn is_local(errno: i32) -> bool {
    matches!(
        Errno::from_raw(errno),
        // Nothing left: descriptors, memory, watches, ports.
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
            // A protocol that the kernel does not have.
            | Errno::EAFNOSUPPORT
            | Errno::EPROTONOSUPPORT
            | Errno::ESOCKTNOSUPPORT
            // Not allowed, or not carried out.
            | Errno::EPERM
            | Errno::ENOSYS
            | Errno::EINTR
    )
}

#[cfg(test)]
mod tests;
