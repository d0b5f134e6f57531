//! Servers that mean harm, or are broken.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Listens, and answers no attempt to connect: its queue of connections is full, and nobody takes any out.
#[derive(Debug)]
pub struct Deaf {
    listener: TcpListener,
    // The only place in the queue.
    _first: TcpStream,
}

impl Deaf {
    /// Listens here.
    pub async fn listen(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address).with_context(|| format!("cannot bind to {address}"))?;
        // Linux has one place more than it is told.
        let listener = socket.listen(0)?;
        let first = TcpStream::connect(listener.local_addr()?).await?;
        Ok(Self { listener, _first: first })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}
