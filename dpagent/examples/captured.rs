//! Simulates a compromised agent: drops its privileges as the agent does, then attempts the forbidden action
//! that its argument names, and reports the result.

use std::fs::OpenOptions;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread;

use maglev_dpagent::privileges::{confine, seccomp};
use memmap2::MmapMut;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, setuid};

fn main() -> ExitCode {
    let deed = std::env::args().nth(1).unwrap_or_default();
    // Allocated before confinement.
    let memory = MmapMut::map_anon(4096);
    if let Err(error) =
        confine(None, &caps::CapsHashSet::new(), seccomp::Filter::of(seccomp::Mode::Enforce).as_ref())
    {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let done: io::Result<()> = match deed.as_str() {
        "nothing" => Ok(()),
        "udp" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "tcp" => TcpListener::bind("127.0.0.1:0").map(drop),
        "read" => OpenOptions::new().read(true).open("/etc/passwd").map(drop),
        "write" => OpenOptions::new().append(true).open("/dev/null").map(drop),
        "list" => std::fs::read_dir("/").map(drop),
        "thread" => thread::Builder::new().spawn(|| {}).map(drop),
        "signal" => nix::sys::signal::kill(Pid::parent(), None).map_err(io::Error::from),
        "execute" => Err(Command::new("/bin/true").exec()),
        "start" => Command::new("/bin/true").status().map(drop),
        "namespace" => unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from),
        "code" => memory.and_then(MmapMut::make_exec).map(drop),
        "root" => setuid(nix::unistd::Uid::from_raw(0)).map_err(io::Error::from),
        "panic" => {
            let caught = panic_is_caught();
            eprintln!("caught: {caught}");
            Ok(())
        }
        other => {
            eprintln!("{other:?} is unknown");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => {
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("refused: {}", error.raw_os_error().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// Panics and catches it, as tokio does with its tasks' panics.
fn panic_is_caught() -> bool {
    std::panic::catch_unwind(|| {
        let nothing: Option<u8> = std::env::args().nth(100).and_then(|text| text.parse().ok());
        #[allow(clippy::unwrap_used, reason = "it is the panic")]
        nothing.unwrap()
    })
    .is_err()
}
