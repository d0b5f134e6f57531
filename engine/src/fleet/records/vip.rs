//! VIPs as text: `192.0.2.1-tcp-80`, `2001:db8::1-all`.

use maglev_protocol::{ALL_PORTS_PROTOCOL, Prefix, VipKey};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A VIP as text, from which [`parse_vip`] makes the same VIP.
pub fn vip_text(vip: &VipKey) -> String {
    let prefix = match vip.prefix == Prefix::host(vip.prefix.address) {
        true => vip.prefix.address.to_string(),
        false => vip.prefix.to_string(),
    };
    match (vip.protocol, vip.port) {
        (ALL_PORTS_PROTOCOL, 0) => format!("{prefix}-all"),
        (TCP, port) => format!("{prefix}-tcp-{port}"),
        (UDP, port) => format!("{prefix}-udp-{port}"),
        (protocol, port) => format!("{prefix}-{protocol}-{port}"),
    }
}

/// Parses exactly what [`vip_text`] writes.
pub fn parse_vip(text: &str) -> Option<VipKey> {
    let (before, last) = text.rsplit_once('-')?;
    let (prefix, protocol, port) = match last {
        "all" => (before, ALL_PORTS_PROTOCOL, 0),
        port => {
            let (prefix, protocol) = before.rsplit_once('-')?;
            let protocol = match protocol {
                "tcp" => TCP,
                "udp" => UDP,
                number => number.parse().ok()?,
            };
            (prefix, protocol, port.parse().ok()?)
        }
    };
    let prefix = match prefix.split_once('/') {
        Some((address, length)) => Prefix { address: address.parse().ok()?, length: length.parse().ok()? },
        None => Prefix::host(prefix.parse().ok()?),
    };
    let vip = VipKey { prefix, protocol, port };
    (prefix.is_valid() && vip_text(&vip) == text).then_some(vip)
}

/// VIPs in values.
pub(super) mod as_text {
    use maglev_protocol::VipKey;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::fleet::records) fn serialize<S: Serializer>(
        vip: &VipKey,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::vip_text(vip))
    }

    pub(in crate::fleet::records) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<VipKey, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_vip(&text).ok_or_else(|| D::Error::custom("a VIP is malformed"))
    }
}
