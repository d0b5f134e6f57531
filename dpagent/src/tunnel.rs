//! Probes through the tunnel: packets from probe addresses, taken from a TUN device, and sent to application servers in
//! GRE as VPP sends its traffic.
//!
//! [`open`] needs `CAP_NET_RAW` and a TUN device of this user; nothing after it needs a privilege. A packet is forwarded
//! only from an address of the [`mapping`] to that address's VIP, at most [`packet::LONGEST`] bytes long, and only to
//! that address's server. Nothing is ever written to the device.

pub mod mapping;
pub mod packet;

mod device;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maglev_daemon::vital::vital;
use maglev_protocol::{AgentError, EchoOutcome, TunnelRefusal, TunnelReport, TunnelTarget};
use tokio::net::unix::pipe::Receiver;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;
use tracing::warn;

use crate::policy::SharedPolicy;
use device::Sender;
pub use device::{OpenError, Opened, open};
use mapping::Mapping;
use packet::{Addresses, LONGEST};

/// Maximum number of packets forwarded before other tasks run.
const AT_ONCE: usize = 64;
/// Pause after the device failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The way through the tunnel. Clones share it.
#[derive(Debug, Clone)]
pub struct Tunnel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: String,
    sender: Sender,
    policy: SharedPolicy,
    mapping: Mutex<Mapping>,
    /// Why the device cannot be read; `None` while it can.
    broken: Mutex<Option<String>>,
}

impl Tunnel {
    /// Starts the task that forwards packets. Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// When the runtime cannot watch the device.
    pub fn start(opened: Opened, policy: SharedPolicy) -> io::Result<(Self, JoinHandle<()>)> {
        let Opened { name: device, tun, sender } = opened;
        let (mapping, broken) = (Mutex::default(), Mutex::default());
        let tunnel = Self(Arc::new(Shared { device, sender, policy, mapping, broken }));
        // Not a pipe, but all that is used of it is what the two have in common: waiting, and read(2).
        let tun = Receiver::from_file_unchecked(File::from(tun))?;
        let task = tokio::spawn(vital("probes through the tunnel", tunnel.clone().run(tun)));
        Ok((tunnel, task))
    }

    /// Replaces a connection's targets; returns the address of each, or why it has none.
    pub(crate) fn set(&self, owner: u64, targets: &[TunnelTarget]) -> Vec<Result<IpAddr, AgentError>> {
        let policy = self.0.policy.current();
        let allowed: Vec<_> = targets.iter().map(|target| policy.check_tunnel(target)).collect();
        let right = targets.iter().zip(&allowed).filter(|(_, allowed)| allowed.is_ok());
        let right: Vec<_> = right.map(|(target, _)| *target).collect();
        let mut addresses = self.mapping().set(owner, &right, &policy.tunnel_probes).into_iter();
        let mut next = || {
            addresses.next().flatten().ok_or_else(|| AgentError::NoTunnel {
                reason: format!(
                    "no address of the VIP's family is left in `tunnel-probes` in {}",
                    policy.source
                ),
            })
        };
        allowed.into_iter().map(|allowed| allowed.and_then(|()| next())).collect()
    }

    pub(crate) fn leave(&self, owner: u64) {
        self.mapping().leave(owner);
    }

    pub(crate) fn report(&self, owner: u64, source: IpAddr) -> Result<TunnelReport, AgentError> {
        if let Some(reason) = self.broken().clone() {
            return Err(AgentError::NoTunnel { reason });
        }
        self.mapping().report(owner, source).ok_or_else(|| {
            AgentError::Contradiction(format!("{source} is no probe address of this connection"))
        })
    }

    /// Whether packets with these addresses go through the tunnel.
    pub(crate) fn carries(&self, source: Option<IpAddr>, target: IpAddr) -> bool {
        source.is_some_and(|source| self.mapping().server(Addresses { source, target }).is_some())
    }

    /// Sends an ICMP message from a probe address to its VIP; `None` if the source is not one.
    pub(crate) fn send_icmp(
        &self,
        source: IpAddr,
        target: IpAddr,
        message: &[u8],
    ) -> Option<Result<(), EchoOutcome>> {
        let (addresses, mut packet) = (Addresses { source, target }, Vec::new());
        if packet::write_icmp(addresses, message, &mut packet).is_none() {
            let server = self.mapping().server(addresses)?;
            let reason = format!("the packet to {server} is longer than the {LONGEST} bytes of a probe");
            return Some(Err(EchoOutcome::NotSent { reason }));
        }
        let sent = self.forward(addresses, &packet)?;
        Some(sent.map_err(|TunnelRefusal { local, reason }| match local {
            true => EchoOutcome::NotSent { reason },
            false => EchoOutcome::NoRoute { reason },
        }))
    }

    /// Sends a packet to the server that it is for; `None` if it is for none.
    fn forward(&self, addresses: Addresses, packet: &[u8]) -> Option<Result<(), TunnelRefusal>> {
        let server = self.mapping().server(addresses)?;
        let target = TunnelTarget { vip: addresses.target, server };
        // The policy may have changed since the address was given.
        let allowed = self.0.policy.current().check_tunnel(&target);
        let refuse = |error: AgentError| TunnelRefusal { local: true, reason: error.to_string() };
        Some(allowed.map_err(refuse).and_then(|()| self.0.sender.send(server, target.vip, packet)))
    }

    async fn run(self, tun: Receiver) {
        let mut buffer = [0; LONGEST + 1];
        loop {
            let mut failed = tun.readable().await.err();
            for _ in 0..AT_ONCE {
                match tun.try_read(&mut buffer) {
                    Ok(length) => {
                        let packet = buffer.get(..length).unwrap_or_default();
                        // The kernel has sent more into it than probes: neighbour discovery, for example.
                        if let Ok(addresses) = packet::addresses(packet)
                            && let Some(sent) = self.forward(addresses, packet)
                        {
                            self.mapping().count(addresses.source, sent);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            self.note(failed.as_ref());
            match failed {
                Some(_) => sleep(PAUSE).await,
                None => yield_now().await,
            }
        }
    }

    /// Records whether the device can be read, and logs a change.
    fn note(&self, failed: Option<&io::Error>) {
        let device = &self.0.device;
        let reason = failed.map(|error| {
            format!("the device {device} fails: {error}; if it was removed, add it and restart the agent")
        });
        let mut broken = self.broken();
        if *broken != reason {
            if let Some(reason) = &reason {
                warn!("no probes through the tunnel: {reason}");
            }
            *broken = reason;
        }
    }

    fn mapping(&self) -> MutexGuard<'_, Mapping> {
        self.0.mapping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> MutexGuard<'_, Option<String>> {
        self.0.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
