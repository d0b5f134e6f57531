//! Addresses and prefixes in the 16-byte form of VPP's lb plugin, which covers both families.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits that precede an IPv4 address in its 16-byte form.
const IPV4_OFFSET: u8 = 96;

/// An address of either family in 16 bytes: IPv4 uses the last four, after zeros.
///
/// As in VPP, an IPv6 address below `::1:0:0` equals an IPv4 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip46([u8; 16]);

impl Ip46 {
    /// The 16 bytes, in network order.
    pub fn octets(self) -> [u8; 16] {
        self.0
    }

    /// Whether VPP treats this as an IPv4 address: the first 12 bytes are 0.
    pub fn is_ipv4(self) -> bool {
        let [head @ .., _, _, _, _] = self.0;
        head == [0; 12]
    }

    fn masked(self, bits: u8) -> Self {
        let keep = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
        Self((u128::from_be_bytes(self.0) & keep).to_be_bytes())
    }
}

impl From<IpAddr> for Ip46 {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(u128::from(u32::from(address)).to_be_bytes()),
            IpAddr::V6(address) => Self(address.octets()),
        }
    }
}

impl From<Ip46> for IpAddr {
    fn from(address: Ip46) -> Self {
        let [.., a, b, c, d] = address.0;
        match address.is_ipv4() {
            true => Ipv4Addr::new(a, b, c, d).into(),
            false => Ipv6Addr::from(address.0).into(),
        }
    }
}

/// VPP's notation. Unlike Rust's, it prints an IPv4-mapped address entirely in hexadecimal.
impl fmt::Display for Ip46 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match IpAddr::from(*self) {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => f.write_str(&ipv6_text(address)),
        }
    }
}

/// An IPv6 address as VPP prints it: the first longest run of at least two zero groups becomes `::`.
pub fn ipv6_text(address: Ipv6Addr) -> String {
    let groups = address.segments();
    let hex = |groups: &[u16]| groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    let run_at = |start: usize| groups.iter().skip(start).take_while(|group| **group == 0).count();
    let longest =
        (0..groups.len()).map(|start| (run_at(start), start)).max_by_key(|(run, start)| (*run, 8 - start));
    match longest {
        Some((run, start)) if run > 1 => {
            let (head, rest) = groups.split_at(start);
            format!("{}::{}", hex(head), hex(rest.get(run..).unwrap_or_default()))
        }
        _ => hex(&groups),
    }
}

/// A prefix whose length counts all 128 bits: an IPv4 /32 has 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip46Prefix {
    /// The address, with all host bits 0.
    pub address: Ip46,
    /// Number of leading bits that count, 0 to 128.
    pub length: u8,
}

/// A prefix length beyond the address family's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("prefix length {length} found for {address}, at most {most} is possible")]
pub struct BadLength {
    address: IpAddr,
    length: u8,
    most: u8,
}

impl Ip46Prefix {
    /// The prefix, with host bits cleared as VPP does.
    ///
    /// # Errors
    /// When the length exceeds the family's. VPP does not check it, and its behaviour is then undefined.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, BadLength> {
        let (offset, most) = if address.is_ipv4() { (IPV4_OFFSET, 32) } else { (0, 128) };
        if length > most {
            return Err(BadLength { address, length, most });
        }
        let length = length + offset;
        Ok(Self { address: Ip46::from(address).masked(length), length })
    }

    /// The prefix of an address and a length of all 128 bits, whatever the address's family; `None` if it is longer.
    pub fn of_bits(address: IpAddr, length: u8) -> Option<Self> {
        (length <= 128).then(|| Self { address: Ip46::from(address).masked(length), length })
    }

    /// The prefix of this one address.
    pub fn host(address: Ip46) -> Self {
        Self { address, length: 128 }
    }

    /// Whether VPP treats this as an IPv4 prefix.
    pub fn is_ipv4(self) -> bool {
        self.length >= IPV4_OFFSET && self.address.is_ipv4()
    }

    /// The length in the API: at most 32 for IPv4.
    pub fn api_length(self) -> u8 {
        if self.is_ipv4() { self.length - IPV4_OFFSET } else { self.length }
    }

    /// The address in the prefix's family, which for IPv6 need not be that of the address alone: `::/0`.
    pub fn network(self) -> IpAddr {
        match self.is_ipv4() {
            true => self.address.into(),
            false => Ipv6Addr::from(self.address.octets()).into(),
        }
    }

    /// The address, if the prefix holds only one.
    pub fn single(self) -> Option<IpAddr> {
        (self.length == 128).then(|| self.address.into())
    }

    /// Whether every address of `other` is in this prefix.
    pub fn covers(self, other: Self) -> bool {
        self.is_ipv4() == other.is_ipv4()
            && self.length <= other.length
            && other.address.masked(self.length) == self.address
    }
}

impl fmt::Display for Ip46Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network() {
            IpAddr::V4(network) => write!(f, "{network}/{}", self.api_length()),
            IpAddr::V6(network) => write!(f, "{}/{}", ipv6_text(network), self.length),
        }
    }
}
