//! Long-lived connections through a VIP, in constant use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Longest wait for an echo.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two exchanges over one connection.
const PERIOD: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Tally {
    exchanged: AtomicU64,
    opened: AtomicU64,
    /// Servers whose connections broke.
    broken: Mutex<Vec<IpAddr>>,
}

/// Connections; one that breaks is noted and opened again. They end with this.
#[derive(Debug)]
pub(crate) struct Flows {
    tally: Arc<Tally>,
    count: u64,
    tasks: Vec<JoinHandle<()>>,
}

impl Flows {
    /// Opens so many to a VIP.
    pub(crate) async fn start(vip: SocketAddr, count: u64) -> Self {
        let tally = Arc::new(Tally::default());
        let tasks = (0..count).map(|_| tokio::spawn(hold(vip, Arc::clone(&tally)))).collect();
        let flows = Self { tally, count, tasks };
        while flows.tally.opened.load(Ordering::Relaxed) < count {
            sleep(PERIOD).await;
        }
        flows
    }

    /// The servers whose connections broke since the last call.
    pub(crate) fn take_broken(&self) -> Vec<IpAddr> {
        std::mem::take(&mut *self.tally.broken.lock().unwrap())
    }

    /// How often something was sent and came back.
    pub(crate) fn exchanged(&self) -> u64 {
        self.tally.exchanged.load(Ordering::Relaxed)
    }

    /// Connections in the place of broken ones.
    pub(crate) fn reopened(&self) -> u64 {
        self.tally.opened.load(Ordering::Relaxed) - self.count
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn hold(vip: SocketAddr, tally: Arc<Tally>) {
    loop {
        let Ok((mut stream, server)) = open(vip).await else {
            sleep(PERIOD).await;
            continue;
        };
        tally.opened.fetch_add(1, Ordering::Relaxed);
        while exchange(&mut stream).await.is_ok() {
            tally.exchanged.fetch_add(1, Ordering::Relaxed);
            sleep(PERIOD).await;
        }
        tally.broken.lock().unwrap().push(server);
    }
}

async fn open(vip: SocketAddr) -> std::io::Result<(TcpStream, IpAddr)> {
    let mut stream = TcpStream::connect(vip).await?;
    let mut server = [0; 4];
    timeout(TIMEOUT, stream.read_exact(&mut server)).await??;
    Ok((stream, Ipv4Addr::from(server).into()))
}

async fn exchange(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut echo = [0; 5];
    timeout(TIMEOUT, async {
        stream.write_all(b"hello").await?;
        stream.read_exact(&mut echo).await
    })
    .await??;
    if &echo == b"hello" { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}
