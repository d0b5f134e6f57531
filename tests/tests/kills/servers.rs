//! Servers whose health can be switched without a connection being lost.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that echoes on one port, and is healthy while another port is open.
pub(crate) struct Server {
    data: SocketAddr,
    health: SocketAddr,
    open: Option<JoinHandle<()>>,
    failed: bool,
    _echo: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(address: IpAddr, data: u16, health: u16) -> Self {
        let (data, health) = (SocketAddr::new(address, data), SocketAddr::new(address, health));
        let listener = TcpListener::bind(data).await.unwrap();
        let _echo = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(echo(stream, address));
            }
        });
        let mut server = Self { data, health, open: None, failed: false, _echo };
        server.set_healthy(true);
        server.failed = false;
        server
    }

    /// Where it serves.
    pub(crate) fn data(&self) -> SocketAddr {
        self.data
    }

    pub(crate) fn last(&self) -> u8 {
        match self.data.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => unreachable!("all are IPv4"),
        }
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.open.is_some()
    }

    pub(crate) fn set_healthy(&mut self, healthy: bool) {
        match self.open.take() {
            Some(open) if healthy => self.open = Some(open),
            Some(open) => {
                open.abort();
                self.failed = true;
            }
            None if healthy => self.open = Some(tokio::spawn(accept(self.health))),
            None => {}
        }
    }

    /// A server that is down now may lose flows now.
    pub(crate) fn note_whether_it_served(&mut self) {
        self.failed |= !self.is_healthy();
    }

    /// Whether it was down at any time since it was asked to forget that.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn forget_failures(&mut self) {
        self.failed = !self.is_healthy();
    }
}

/// Takes connections until it is aborted. The port may still be held by the last one for a moment.
async fn accept(address: SocketAddr) {
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    loop {
        drop(listener.accept().await);
    }
}

/// Says which server it is, then repeats what it hears.
async fn echo(mut stream: TcpStream, address: IpAddr) {
    let IpAddr::V4(address) = address else { return };
    let mut heard = [0; 64];
    if stream.write_all(&address.octets()).await.is_err() {
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut heard).await {
        if stream.write_all(&heard[..length]).await.is_err() {
            return;
        }
    }
}
