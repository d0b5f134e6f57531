//! The floor: one loop with the system calls of a check, and nothing else. No timeout, no verdict, no state.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use crate::checkers::address;
use crate::cores;

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: 127.1.0.0\r\nConnection: close\r\n\r\n";
const INTERVAL: Duration = Duration::from_secs(1);

struct Check {
    socket: Socket,
    sent: bool,
}

/// Checks this many backends once a second until the process is killed.
pub(crate) fn check(port: u16, backends: u32) {
    cores::raise_open_files();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let start = Instant::now();
    let first = |backend: u32| start + INTERVAL.mul_f64(f64::from(backend) / f64::from(backends));
    let mut due: BinaryHeap<_> = (0..backends).map(|backend| Reverse((first(backend), backend))).collect();
    let mut checks: Vec<Option<Check>> = (0..backends).map(|_| None).collect();
    let mut events = [EpollEvent::empty(); 256];
    let mut response = [0; 2048];
    loop {
        let now = Instant::now();
        while let Some(Reverse((at, backend))) = due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            due.pop();
            due.push(Reverse((at + INTERVAL, backend)));
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.set_tcp_quickack(false).unwrap();
            // In progress, at best.
            drop(socket.connect(&SocketAddr::from((address(backend), port)).into()));
            let wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            epoll.add(&socket, EpollEvent::new(wanted, backend.into())).unwrap();
            checks[backend as usize] = Some(Check { socket, sent: false });
        }
        let wait = due.peek().map_or(INTERVAL, |Reverse((at, _))| at.saturating_duration_since(now));
        let wait = u16::try_from(wait.as_millis() + 1).unwrap();
        let ready = epoll.wait(&mut events, EpollTimeout::from(wait)).unwrap_or(0);
        for event in &events[..ready] {
            let slot = &mut checks[usize::try_from(event.data()).unwrap()];
            let Some(check) = slot else { continue };
            if !check.sent {
                check.sent = true;
                if check.socket.send(REQUEST).is_err() {
                    *slot = None;
                }
            } else if event.events().contains(EpollFlags::EPOLLIN) {
                drop((&check.socket).read(&mut response));
                *slot = None;
            }
        }
    }
}
