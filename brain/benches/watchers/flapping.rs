//! Backends that alternate between healthy and failing, at every address of 127.0.0.0/8.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;

const ANSWERS: [&[u8]; 2] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
];

/// Listens on the returned port for as long as the process lives.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked: HashMap<_, usize> = HashMap::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let count = asked.entry(stream.local_addr().unwrap()).or_default();
            *count += 1;
            // The prober may hang up early, once it has what it needs.
            if stream.read(&mut [0; 1024]).is_ok() {
                stream.write_all(ANSWERS[*count % 2]).ok();
            }
        }
    });
    port
}
