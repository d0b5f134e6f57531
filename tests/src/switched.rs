//! Servers whose health can be switched without breaking connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that sends its address and then echoes, on one port, and counts as healthy while another port is
/// open. Dropping it closes both.
#[derive(Debug)]
pub struct Server {
    address: Ipv4Addr,
    data: SocketAddr,
    health: SocketAddr,
    open: Option<JoinHandle<()>>,
    failed: bool,
    echo: JoinHandle<()>,
}

impl Server {
    /// Starts a healthy one.
    ///
    /// # Errors
    /// If the port of its data is taken.
    pub async fn start(address: Ipv4Addr, data: u16, health: u16) -> anyhow::Result<Self> {
        let (data, health) = (SocketAddr::new(address.into(), data), SocketAddr::new(address.into(), health));
        let listener = TcpListener::bind(data).await.with_context(|| format!("cannot listen on {data}"))?;
        let echo = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(repeat(stream, address));
            }
        });
        let mut server = Self { address, data, health, open: None, failed: false, echo };
        server.set_healthy(true);
        Ok(server)
    }

    /// Where it serves.
    pub fn data(&self) -> SocketAddr {
        self.data
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Whether it passes checks.
    pub fn is_healthy(&self) -> bool {
        self.open.is_some()
    }

    /// Has it pass or fail checks from now on.
    pub fn set_healthy(&mut self, healthy: bool) {
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

    /// Whether it was down at any time since the last reset.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Resets that, unless it is down now.
    pub fn forget_failures(&mut self) {
        self.failed = !self.is_healthy();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.echo.abort();
        if let Some(open) = &self.open {
            open.abort();
        }
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

/// Says which server it is, by the four bytes of its address, then repeats what it hears.
async fn repeat(mut stream: TcpStream, address: Ipv4Addr) {
    let mut heard = [0; 64];
    if stream.write_all(&address.octets()).await.is_err() {
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut heard).await {
        let heard = heard.get(..length).unwrap_or_default();
        if stream.write_all(heard).await.is_err() {
            return;
        }
    }
}
