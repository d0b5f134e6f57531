//! The TUN device that probes are read from, and the raw sockets that GRE is sent on.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use maglev_protocol::TunnelRefusal;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendmsg};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tun_rs::DeviceBuilder;

use super::packet::gre_header;
use crate::raw::why_refused;

/// GRE's IP protocol number.
const GRE: i32 = 47;

/// What is opened while the process has its privilege.
#[derive(Debug)]
pub struct Opened {
    pub(super) name: String,
    pub(super) tun: OwnedFd,
    pub(super) sender: Sender,
}

/// Why there are no probes through the tunnel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device cannot be used.
    #[error(
        "cannot use the TUN device {name}: {source}; it must exist and belong to the agent's user (`ip tuntap add`)"
    )]
    Device {
        /// Name of the device.
        name: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// No socket for GRE.
    #[error("cannot {action} a raw socket for GRE: {source}; the process needs the capability CAP_NET_RAW")]
    Socket {
        /// The operation that failed.
        action: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Raw sockets for GRE over IPv4 and IPv6.
#[derive(Debug)]
pub(super) struct Sender {
    v4: Socket,
    /// `None` if the kernel lacks IPv6.
    v6: Option<Socket>,
}

/// Opens the device and the sockets.
///
/// # Errors
/// When the device is not this user's, or the capability is missing.
pub fn open(name: &str) -> Result<Opened, OpenError> {
    let device = |source| OpenError::Device { name: name.to_owned(), source };
    // Its address, state and MTU are whoever's who made it.
    let tun = DeviceBuilder::new().name(name).inherit_enable_state().build_sync().map_err(device)?;
    tun.set_nonblocking(true).map_err(device)?;
    let tun = tun.as_fd().try_clone_to_owned().map_err(device)?;
    let failed = |action| move |source: io::Error| OpenError::Socket { action, source };
    let v4 = raw_socket(Domain::IPV4).map_err(failed("open"))?;
    // Not even locally: whether full packets pass is what some probes are about.
    set_ip_mtu_discover(&v4, Ipv4PathMtuDiscovery::PROBE)
        .map_err(|errno| failed("prevent fragments of")(errno.into()))?;
    let v6 = raw_socket(Domain::IPV6).ok();
    if let Some(v6) = &v6 {
        set_ipv6_mtu_discover(v6, Ipv6PathMtuDiscovery::PROBE)
            .map_err(|errno| failed("prevent fragments of")(errno.into()))?;
    }
    Ok(Opened { name: name.to_owned(), tun, sender: Sender { v4, v6 } })
}

/// A socket that sends GRE and receives nothing.
fn raw_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(GRE)))?;
    // `ret #0`: keep no byte of any packet.
    socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    Ok(socket)
}

impl Sender {
    /// Sends a packet for this VIP to a server, without waiting. The kernel chooses the outer source address.
    pub(super) fn send(&self, server: IpAddr, vip: IpAddr, packet: &[u8]) -> Result<(), TunnelRefusal> {
        let socket = if server.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        let Some(socket) = socket else {
            let reason = "this machine's kernel lacks IPv6".to_owned();
            return Err(TunnelRefusal { local: true, reason });
        };
        let header = gre_header(vip);
        let parts = [IoSlice::new(&header), IoSlice::new(packet)];
        let to = SockaddrStorage::from(SocketAddr::new(server, 0));
        match sendmsg(socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&to)) {
            Ok(_) => Ok(()),
            Err(errno) => {
                let (local, reason) = why_refused(&errno.into(), server);
                Err(TunnelRefusal { local, reason })
            }
        }
    }
}
