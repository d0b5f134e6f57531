//! Target: packets from the agent's TUN device, into which anything that this machine routes there may get.

use maglev_dpagent::tunnel::packet::{LONGEST, addresses, write_icmp};

/// The bytes are a packet; its addresses, if it has any, are also those of one that is built.
pub fn check(data: &[u8]) {
    let found = match addresses(data) {
        Ok(found) => found,
        Err(malformed) => return assert!(!malformed.to_string().is_empty()),
    };
    assert!(data.len() <= LONGEST && found.source.is_ipv4() == found.target.is_ipv4());
    // One byte more or less is no packet, whatever its header says.
    assert!(addresses(&data[..data.len() - 1]).is_err());
    assert!(addresses(&[data, &[0]].concat()).is_err());
    let mut built = Vec::new();
    if write_icmp(found, data, &mut built).is_some() {
        assert_eq!(addresses(&built), Ok(found));
        assert!(built.len() > data.len());
    }
}
