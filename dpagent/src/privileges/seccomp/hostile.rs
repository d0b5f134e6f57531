//! System calls that the agent and its libraries never need on any kernel, but an intruder would.

use nix::libc;

use super::entry::{Argument, Entry};

/// Mask of the type in `socket`'s type argument, without the flags.
const SOCKET_TYPE: i32 = 0xf;

/// Calls that end the process.
pub const HOSTILE: &[Entry] = &[
    // Running other programs.
    Entry::any("execve", libc::SYS_execve, "runs another program"),
    Entry::any("execveat", libc::SYS_execveat, "runs another program"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("fork", libc::SYS_fork, "another process"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("vfork", libc::SYS_vfork, "another process, which will run another program"),
    Entry::with(
        "clone(no thread)",
        libc::SYS_clone,
        &[Argument::bits(0, libc::CLONE_THREAD, 0)],
        "another process",
    ),
    // Loading foreign code.
    Entry::with(
        "mmap(executable)",
        libc::SYS_mmap,
        &[Argument::bits(2, libc::PROT_EXEC, libc::PROT_EXEC)],
        "brings code in",
    ),
    Entry::with(
        "mprotect(executable)",
        libc::SYS_mprotect,
        &[Argument::bits(2, libc::PROT_EXEC, libc::PROT_EXEC)],
        "makes data code",
    ),
    Entry::with(
        "pkey_mprotect(executable)",
        libc::SYS_pkey_mprotect,
        &[Argument::bits(2, libc::PROT_EXEC, libc::PROT_EXEC)],
        "makes data code",
    ),
    // Attacking other processes.
    Entry::any("ptrace", libc::SYS_ptrace, "steers another process"),
    Entry::any("process_vm_readv", libc::SYS_process_vm_readv, "reads another process's memory"),
    Entry::any("process_vm_writev", libc::SYS_process_vm_writev, "writes another process's memory"),
    Entry::any("pidfd_getfd", libc::SYS_pidfd_getfd, "takes another process's descriptors"),
    // Namespaces and mounts.
    Entry::any("unshare", libc::SYS_unshare, "all capabilities, in a namespace of its own"),
    Entry::any("setns", libc::SYS_setns, "enters another namespace"),
    Entry::any("mount", libc::SYS_mount, "changes the tree of files"),
    Entry::any("umount2", libc::SYS_umount2, "changes the tree of files"),
    Entry::any("move_mount", libc::SYS_move_mount, "changes the tree of files"),
    Entry::any("open_tree", libc::SYS_open_tree, "changes the tree of files"),
    Entry::any("pivot_root", libc::SYS_pivot_root, "changes the tree of files"),
    Entry::any("chroot", libc::SYS_chroot, "changes the tree of files"),
    Entry::any("open_by_handle_at", libc::SYS_open_by_handle_at, "opens files past their directories"),
    // Attacking the kernel.
    Entry::any("bpf", libc::SYS_bpf, "programs in the kernel"),
    Entry::any("io_uring_setup", libc::SYS_io_uring_setup, "makes calls that no filter sees"),
    Entry::any("io_uring_enter", libc::SYS_io_uring_enter, "makes calls that no filter sees"),
    Entry::any("io_uring_register", libc::SYS_io_uring_register, "makes calls that no filter sees"),
    Entry::any("userfaultfd", libc::SYS_userfaultfd, "holds the kernel up where an attack needs it"),
    Entry::any("perf_event_open", libc::SYS_perf_event_open, "watches the machine; often an attack's way in"),
    Entry::any("add_key", libc::SYS_add_key, "the kernel's keys"),
    Entry::any("request_key", libc::SYS_request_key, "the kernel's keys"),
    Entry::any("keyctl", libc::SYS_keyctl, "the kernel's keys"),
    Entry::any("init_module", libc::SYS_init_module, "code in the kernel"),
    Entry::any("finit_module", libc::SYS_finit_module, "code in the kernel"),
    Entry::any("delete_module", libc::SYS_delete_module, "takes the kernel's protections away"),
    Entry::any("kexec_load", libc::SYS_kexec_load, "another kernel"),
    Entry::any("kexec_file_load", libc::SYS_kexec_file_load, "another kernel"),
    Entry::any("reboot", libc::SYS_reboot, "ends the machine"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("iopl", libc::SYS_iopl, "the machine's ports"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("ioperm", libc::SYS_ioperm, "the machine's ports"),
    #[cfg(target_arch = "x86_64")]
    Entry::any("modify_ldt", libc::SYS_modify_ldt, "the processor's segments; often an attack's way in"),
    Entry::any("personality", libc::SYS_personality, "makes all data code"),
    // Gaining privileges.
    Entry::any("capset", libc::SYS_capset, "capabilities"),
    Entry::any("setuid", libc::SYS_setuid, "another user"),
    Entry::any("setresuid", libc::SYS_setresuid, "another user"),
    Entry::any("setgroups", libc::SYS_setgroups, "other groups"),
    // A socket that can send any frame.
    Entry::with(
        "socket(AF_PACKET)",
        libc::SYS_socket,
        &[Argument::is(0, libc::AF_PACKET)],
        "reads and writes all of the network",
    ),
    Entry::with(
        "socket(SOCK_RAW)",
        libc::SYS_socket,
        &[Argument::bits(1, SOCKET_TYPE, libc::SOCK_RAW)],
        "the raw sockets that it needs are open already",
    ),
];
