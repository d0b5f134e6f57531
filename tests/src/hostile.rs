//! Malicious and broken servers.
//!
//! One task for each listener, and one for each connection, owned by the listener's. Dropping a [`Server`]
//! aborts them all, which closes every socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Identity;

/// Connections that wait to be accepted. More than any test opens at once.
const BACKLOG: u32 = 1024;

/// A server's actions on each connection, in this order.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Whether to make a TLS handshake; everything else then goes through TLS.
    pub tls: bool,
    /// Sent once the client has sent something.
    pub first: Vec<u8>,
    /// Sent over and over until the client disconnects, unless empty.
    pub again: Vec<u8>,
    /// Pause in between.
    pub pause: Duration,
    /// How the connection ends, unless the client ends it.
    pub end: End,
}

/// How a server ends a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// Sends nothing more, and waits for the client to disconnect.
    #[default]
    Hold,
    /// Closes it normally.
    Close,
    /// Resets it. Not through TLS.
    Reset,
}

/// A server that follows a script until it is dropped.
#[derive(Debug)]
pub struct Server {
    _listening: JoinSet<()>,
}

impl Server {
    /// Listens at this address.
    pub fn start(address: SocketAddr, script: Script) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).with_context(|| format!("cannot bind to {address}"))?;
        let listener = socket.listen(BACKLOG)?;
        let tls = script.tls.then(acceptor).transpose()?;
        let script = Arc::new(script);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                // Out of descriptors, for example: whoever waits will be served later.
                let Ok((stream, _)) = listener.accept().await else {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, Arc::clone(&script), tls.clone()));
            }
        });
        Ok(Self { _listening: listening })
    }
}

/// Any certificate: clients of these servers do not verify it.
fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let identity = Identity::self_signed(&["hostile.example"])?;
    let chain = vec![CertificateDer::from_pem_slice(identity.chain.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, tls: Option<TlsAcceptor>) {
    // A flood shall not wait for acknowledgements.
    drop(stream.set_nodelay(true));
    // Most of these connections end because the client disconnects.
    let left = match tls {
        Some(tls) => match tls.accept(stream).await {
            Ok(mut stream) => play(&mut stream, &script).await,
            Err(error) => Err(error),
        },
        None => {
            let left = play(&mut stream, &script).await;
            if script.end == End::Reset {
                drop(stream.set_zero_linger());
            }
            left
        }
    };
    drop(left);
}

async fn play(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), script: &Script) -> std::io::Result<()> {
    let mut said = [0; 4096];
    if stream.read(&mut said).await? == 0 {
        return Ok(());
    }
    stream.write_all(&script.first).await?;
    stream.flush().await?;
    while !script.again.is_empty() {
        stream.write_all(&script.again).await?;
        stream.flush().await?;
        if !script.pause.is_zero() {
            sleep(script.pause).await;
        }
    }
    match script.end {
        End::Hold => while stream.read(&mut said).await? > 0 {},
        End::Close => stream.shutdown().await?,
        End::Reset => {}
    }
    Ok(())
}

/// Answers every datagram with the same ones, until it is dropped.
#[derive(Debug)]
pub struct Datagrams {
    _answering: JoinSet<()>,
}

impl Datagrams {
    /// Listens at this address.
    pub async fn start(address: SocketAddr, answers: Vec<Answer>) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(address).await.with_context(|| format!("cannot bind to {address}"))?;
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            let mut asked = [0; 2048];
            loop {
                // An ICMP error of an earlier answer: the client has gone.
                let Ok((length, client)) = socket.recv_from(&mut asked).await else { continue };
                for answer in &answers {
                    let mut bytes = answer.bytes.clone();
                    let echoed = if answer.echoes { length.min(2).min(bytes.len()) } else { 0 };
                    bytes[..echoed].copy_from_slice(&asked[..echoed]);
                    drop(socket.send_to(&bytes, client).await);
                }
            }
        });
        Ok(Self { _answering: answering })
    }
}

/// A datagram in answer to one.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it says.
    pub bytes: Vec<u8>,
    /// Whether its first two bytes are those of the question, as in DNS.
    pub echoes: bool,
}

/// Listens, but answers no attempt to connect: its backlog is full and never emptied.
#[derive(Debug)]
pub struct Deaf {
    listener: TcpListener,
    // Occupies the only place in the backlog.
    _first: TcpStream,
}

impl Deaf {
    /// Listens at this address.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
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
