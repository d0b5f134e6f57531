//! System calls of a running agent, from traces of debug and release builds with the GNU C library on x86-64.
//! Files, threads, programs and Internet sockets are not among them.

use nix::libc;

use super::entry::{Argument, Entry};

/// Mask of the type in `socket`'s type argument, without the flags.
const SOCKET_TYPE: i32 = 0xf;

/// Length of the address of the journal's socket, /run/systemd/journal/socket: its family, the path and a zero.
const JOURNAL_ADDRESS: i32 = 2 + 27 + 1;

/// Calls that work.
pub const ALLOWED: &[Entry] = &[
    // Event loop.
    Entry::any("epoll_create1", libc::SYS_epoll_create1, "tokio's runtime, which is built behind the filter"),
    Entry::any("epoll_ctl", libc::SYS_epoll_ctl, "a socket is watched, or no longer"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("epoll_wait", libc::SYS_epoll_wait, "waits for sockets and for time to pass"),
    #[cfg(not(target_arch = "x86_64"))]
    Entry::any("epoll_pwait", libc::SYS_epoll_pwait, "waits for sockets and for time to pass"),
    Entry::any("eventfd2", libc::SYS_eventfd2, "wakes the loop"),
    Entry::with(
        "fcntl(F_DUPFD_CLOEXEC)",
        libc::SYS_fcntl,
        &[Argument::is(1, libc::F_DUPFD_CLOEXEC)],
        "tokio watches one set of sockets from two places",
    ),
    Entry::any("futex", libc::SYS_futex, "the runtime's end wakes whoever waits for it"),
    Entry::any("clock_gettime", libc::SYS_clock_gettime, "what time it is")
        .rarely("where the clock cannot be read without the kernel, as on some virtual machines"),
    // Signals.
    Entry::any("rt_sigaction", libc::SYS_rt_sigaction, "SIGTERM and SIGINT end the agent"),
    Entry::any("rt_sigprocmask", libc::SYS_rt_sigprocmask, "lets SIGHUP in, once somebody waits for it"),
    Entry::any("rt_sigreturn", libc::SYS_rt_sigreturn, "the end of every signal handler"),
    Entry::with(
        "socketpair(AF_UNIX)",
        libc::SYS_socketpair,
        &[Argument::is(0, libc::AF_UNIX)],
        "from a signal's handler to the loop",
    ),
    // Sockets.
    Entry::with(
        "socket(AF_UNIX, SOCK_STREAM)",
        libc::SYS_socket,
        &[Argument::is(0, libc::AF_UNIX), Argument::bits(1, SOCKET_TYPE, libc::SOCK_STREAM)],
        "the agent's own socket, and VPP's API",
    ),
    Entry::with(
        "socket(AF_UNIX, SOCK_SEQPACKET)",
        libc::SYS_socket,
        &[Argument::is(0, libc::AF_UNIX), Argument::bits(1, SOCKET_TYPE, libc::SOCK_SEQPACKET)],
        "VPP's stats socket",
    ),
    Entry::any("connect", libc::SYS_connect, "to VPP, which may come back at any time"),
    Entry::any("bind", libc::SYS_bind, "the agent's own socket"),
    Entry::any("listen", libc::SYS_listen, "the agent's own socket"),
    Entry::any("accept4", libc::SYS_accept4, "a brain connects"),
    Entry::with(
        "getsockopt(SOL_SOCKET)",
        libc::SYS_getsockopt,
        &[Argument::is(1, libc::SOL_SOCKET)],
        "whether a connection was made, and whose process the peer is",
    ),
    Entry::with(
        "fcntl(F_GETFL)",
        libc::SYS_fcntl,
        &[Argument::is(1, libc::F_GETFL)],
        "whether the stats socket blocks",
    )
    .rarely("only debug builds of tokio look"),
    Entry::any("recvfrom", libc::SYS_recvfrom, "reads calls, VPP's answers, echo replies and signals"),
    Entry::with(
        "sendto(no address)",
        libc::SYS_sendto,
        &[Argument::Null { index: 4 }],
        "passes a signal on, shakes hands with VPP, and tells the service manager that it lives",
    ),
    Entry::with(
        "sendto(journal)",
        libc::SYS_sendto,
        &[Argument::is(5, JOURNAL_ADDRESS)],
        "the log; what is at the address cannot be seen from here, only that it is as long",
    )
    .rarely("under systemd, where standard error leads to the journal"),
    Entry::any("read", libc::SYS_read, "packets of probes, from the TUN device")
        .rarely("with --tunnel-device"),
    Entry::any("writev", libc::SYS_writev, "answers calls, and sends VPP its messages"),
    Entry::any("sendmsg", libc::SYS_sendmsg, "echo requests, with their source address"),
    Entry::any("recvmsg", libc::SYS_recvmsg, "the descriptor of VPP's stats segment"),
    Entry::any("shutdown", libc::SYS_shutdown, "ends the connection to VPP"),
    Entry::any("close", libc::SYS_close, "ends any connection"),
    // File descriptors of the sockets.
    Entry::any(
        "statx",
        libc::SYS_statx,
        "whether a socket is there and still the same; the stats segment's length",
    ),
    Entry::any("fchmod", libc::SYS_fchmod, "the mode of the agent's own socket, before others can see it"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("chmod", libc::SYS_chmod, "the mode of the agent's own socket, whatever the umask"),
    #[cfg(not(target_arch = "x86_64"))]
    Entry::any("fchmodat", libc::SYS_fchmodat, "the mode of the agent's own socket, whatever the umask"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("unlink", libc::SYS_unlink, "removes the agent's own socket, and a dead predecessor's"),
    #[cfg(not(target_arch = "x86_64"))]
    Entry::any("unlinkat", libc::SYS_unlinkat, "removes the agent's own socket, and a dead predecessor's"),
    Entry::any("write", libc::SYS_write, "the log, and wakes the loop"),
    Entry::with(
        "fcntl(F_GET_SEALS)",
        libc::SYS_fcntl,
        &[Argument::is(1, libc::F_GET_SEALS)],
        "whether VPP's stats segment may shrink under the reader",
    ),
    Entry::with(
        "fcntl(F_GETFD)",
        libc::SYS_fcntl,
        &[Argument::is(1, libc::F_GETFD)],
        "whether what is closed was open",
    )
    .rarely("only debug builds of Rust's library look"),
    // Memory.
    Entry::any("brk", libc::SYS_brk, "more memory, or less"),
    Entry::with(
        "mmap(not executable)",
        libc::SYS_mmap,
        &[Argument::bits(2, libc::PROT_EXEC, 0)],
        "VPP's stats segment, and large pieces of memory",
    ),
    Entry::any("munmap", libc::SYS_munmap, "gives that back"),
    Entry::any("mremap", libc::SYS_mremap, "a large piece of memory grows")
        .rarely("with thousands of servers"),
    Entry::any("getrandom", libc::SYS_getrandom, "keys of hash tables, seeds of jitter and identifiers"),
    // Exit.
    Entry::any("sigaltstack", libc::SYS_sigaltstack, "Rust's library takes its signal stack away"),
    Entry::any("exit_group", libc::SYS_exit_group, "the end"),
    Entry::any("gettid", libc::SYS_gettid, "which thread it was").rarely("a panic's message names it"),
];
