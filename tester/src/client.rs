//! A client of one VIP: makes requests, and says who answered.

use std::net::SocketAddr;

use maglev_engine::outcome::ProbeOutcome;
use maglev_probe::{Checker, Details, Echo, EchoFailure, Inquiry, Kept};
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::time::Instant;

use crate::stats::Exchange;
use crate::target::{Shape, Target};
use crate::udp;

/// Which parts of an answer name who gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// Response header that names the server; without one, the first line of the body does.
    pub server: Option<String>,
    /// Response header that names the load balancer.
    pub balancer: Option<String>,
}

/// Makes requests of one VIP, one after the other.
#[derive(Debug)]
pub struct Client {
    vip: SocketAddr,
    source: Option<SocketAddr>,
    way: Way,
    has_server_header: bool,
    inquiry: Inquiry,
    kept: Option<Kept>,
}

#[derive(Debug)]
enum Way {
    Check(Box<Checker<NoEcho>>),
    Udp(udp::Asking),
}

/// No target is checked by ICMP.
#[derive(Debug)]
struct NoEcho;

impl Echo for NoEcho {
    async fn echo(&self, _: EchoRequest, _: Instant) -> Result<EchoOutcome, EchoFailure> {
        Err(EchoFailure::Refused("VIPs are not tested by ICMP".to_owned()))
    }
}

impl Client {
    /// A client of this VIP. With `keep`, it keeps its connection between requests as far as the server lets it.
    pub fn new(target: &Target, shape: &Shape, naming: &Naming, keep: bool) -> Self {
        let way = match target.check(shape) {
            Some(check) => Way::Check(Box::new(Checker::new(check, NoEcho))),
            None => Way::Udp(udp::Asking {
                payload: shape.udp_payload.clone().unwrap_or_default(),
                timeout: shape.timeout,
            }),
        };
        let headers = naming.server.iter().chain(&naming.balancer).cloned().collect();
        let inquiry = Inquiry { headers, first_line: naming.server.is_none(), keep };
        let source = shape.source_for(target.vip.ip()).map(|source| SocketAddr::new(source, 0));
        let has_server_header = naming.server.is_some();
        Self { vip: target.vip, source, way, has_server_header, inquiry, kept: None }
    }

    /// One request. Ends within the timeout.
    pub async fn ask(&mut self) -> Exchange {
        self.ask_from(self.source).await
    }

    /// The same from this address; port 0 means any. A kept connection has the source that it has.
    pub async fn ask_from(&mut self, source: Option<SocketAddr>) -> Exchange {
        match &self.way {
            Way::Check(checker) => {
                let (outcome, details) =
                    checker.ask(self.vip.ip(), source, &self.inquiry, &mut self.kept).await;
                self.named(outcome, details)
            }
            Way::Udp(asking) => asking.ask(self.vip, source).await,
        }
    }

    /// The connection that was kept.
    pub fn kept(&mut self) -> &mut Option<Kept> {
        &mut self.kept
    }

    /// Where requests come from; port 0 means any.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    fn named(&self, outcome: ProbeOutcome, details: Details) -> Exchange {
        let mut headers = details.headers.into_iter();
        let server = if self.has_server_header { headers.next().flatten() } else { details.first_line };
        Exchange { outcome, server, balancer: headers.next().flatten() }
    }
}

/// The source address that the system chooses for a VIP.
///
/// # Errors
/// If there is no route.
pub async fn source_of(vip: SocketAddr) -> std::io::Result<std::net::IpAddr> {
    let any: SocketAddr = if vip.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    // Sends nothing.
    socket.connect(vip).await?;
    Ok(socket.local_addr()?.ip())
}
