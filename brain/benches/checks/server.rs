//! The backends: one process that answers at every address of 127.0.0.0/8.
//!
//! It is this program, started again, so that its CPU time and memory are separate from the measured process.
//! It ends with its standard input, from which it reads one command a line; every command gets one line in
//! return.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{Backlog, MsgFlags, listen, recv};

use crate::cores::{self, Cores};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
const SICK: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The running backends.
pub(crate) struct Backends {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Their port, the same at every address.
    pub(crate) port: u16,
}

impl Backends {
    pub(crate) fn start(cores: &Cores) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cores.spawn(&mut command, cores.other);
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut backends = Self { child, orders, answers, port: 0 };
        backends.port = u16::try_from(backends.answer()).unwrap();
        backends
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Number of requests answered so far.
    pub(crate) fn answered(&mut self) -> u64 {
        self.order("count")
    }

    /// Makes an address answer 503, or 200 again.
    pub(crate) fn set_sick(&mut self, address: Ipv4Addr, sick: bool) {
        self.order(&format!("{} {address}", if sick { "fail" } else { "pass" }));
    }

    fn order(&mut self, order: &str) -> u64 {
        writeln!(self.orders, "{order}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> u64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[derive(Default)]
struct Orders {
    answered: AtomicU64,
    /// Whether any address is sick, which is cheaper to check than `sick`.
    any_sick: AtomicBool,
    sick: Mutex<HashSet<IpAddr>>,
}

impl Orders {
    fn take(&self, order: &str) -> u64 {
        let mut sick = self.sick.lock().unwrap();
        match order.split_once(' ') {
            None => {}
            Some(("fail", address)) => drop(sick.insert(address.parse().unwrap())),
            Some((_, address)) => drop(sick.remove(&address.parse().unwrap())),
        }
        self.any_sick.store(!sick.is_empty(), Ordering::Relaxed);
        self.answered.load(Ordering::Relaxed)
    }

    fn answer(&self, stream: &TcpStream) -> &'static [u8] {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if !self.any_sick.load(Ordering::Relaxed) {
            return FINE;
        }
        let address = stream.local_addr().unwrap().ip();
        if self.sick.lock().unwrap().contains(&address) { SICK } else { FINE }
    }
}

/// Runs as the server process until standard input ends.
pub(crate) fn serve() {
    cores::raise_open_files();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    listen(&listener, Backlog::new(4096).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let orders = Arc::new(Orders::default());
    let answering = Arc::clone(&orders);
    std::thread::spawn(move || answer_all(&listener, &answering));
    for order in std::io::stdin().lines() {
        println!("{}", orders.take(&order.unwrap()));
    }
}

fn answer_all(listener: &TcpListener, orders: &Orders) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let watched = |fd: i32| EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(fd).unwrap());
    epoll.add(listener, watched(listener.as_raw_fd())).unwrap();
    let mut waiting: Vec<Option<TcpStream>> = Vec::new();
    let mut events = [EpollEvent::empty(); 256];
    loop {
        // Interrupted when a signal stops the process for a while.
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..ready] {
            let slot = usize::try_from(event.data()).unwrap();
            if let Some(stream) = waiting.get_mut(slot).and_then(Option::take) {
                answer(&stream, orders);
                continue;
            }
            while let Ok((stream, _)) = listener.accept() {
                // Usually the request has arrived already.
                if !answer(&stream, orders) {
                    let slot = usize::try_from(stream.as_raw_fd()).unwrap();
                    if epoll.add(&stream, watched(stream.as_raw_fd())).is_ok() {
                        waiting.resize_with(waiting.len().max(slot + 1), || None);
                        waiting[slot] = Some(stream);
                    }
                }
            }
        }
    }
}

/// Answers a request; `false` if none has arrived yet.
fn answer(mut stream: &TcpStream, orders: &Orders) -> bool {
    let mut request = [0; 2048];
    match recv(stream.as_raw_fd(), &mut request, MsgFlags::MSG_DONTWAIT) {
        Ok(0) => true,
        Ok(_) => {
            // The client may have gone.
            drop(stream.write_all(orders.answer(stream)));
            true
        }
        Err(error) => error != nix::Error::EAGAIN,
    }
}
