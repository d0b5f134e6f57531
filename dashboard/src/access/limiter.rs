//! Attempts to log in, limited for each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

use super::Peer;

/// Attempts that may come at once.
const BURST: f64 = 5.0;
/// Time after which there may be one more.
const EACH: Duration = Duration::from_secs(12);
/// Addresses that are remembered. When there are more, those are forgotten that have waited longest; everybody then has
/// at most one burst more.
const ADDRESSES: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Limiter(HashMap<Option<IpAddr>, (f64, Instant)>);

impl Limiter {
    /// Takes one attempt, or tells how long to wait.
    pub(super) fn admit(&mut self, peer: Peer, now: Instant) -> Result<(), Duration> {
        let entry = self.0.entry(network(peer)).or_insert((BURST, now));
        let gained = now.saturating_duration_since(entry.1).as_secs_f64() / EACH.as_secs_f64();
        *entry = ((entry.0 + gained).min(BURST), now);
        if entry.0 < 1.0 {
            return Err(EACH.mul_f64(1.0 - entry.0));
        }
        entry.0 -= 1.0;
        if self.0.len() > ADDRESSES {
            let oldest = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(network, _)| *network);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        Ok(())
    }

    pub(super) fn succeeded(&mut self, peer: Peer) {
        self.0.remove(&network(peer));
    }
}

/// One customer has a whole /64 of IPv6.
fn network(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Unix => None,
        Peer::Loopback(address) | Peer::Tls(address) => Some(match address.ip() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::Tls(address.parse().unwrap())
    }

    #[test]
    fn a_burst_then_one_at_a_time_and_others_are_not_kept_out() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let (one, neighbour, other) = (peer("[2001:db8::1]:1"), peer("[2001:db8::2]:1"), peer("192.0.2.1:1"));
        for _ in 0..5 {
            limiter.admit(one, start).unwrap();
        }
        assert!(limiter.admit(one, start).is_err());
        assert!(limiter.admit(neighbour, start).is_err(), "of the same network");
        limiter.admit(other, start).unwrap();
        let wait = limiter.admit(one, start).unwrap_err();
        assert!(limiter.admit(one, start + wait + Duration::from_millis(1)).is_ok());
        limiter.succeeded(one);
        assert!(limiter.admit(one, start + wait).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        for address in 0..11_000_u32 {
            let address = std::net::SocketAddr::from((std::net::Ipv4Addr::from(address), 1));
            limiter.admit(Peer::Tls(address), start).unwrap();
        }
        assert_eq!(limiter.0.len(), ADDRESSES);
    }
}
