use std::net::IpAddr;

use proptest::prelude::*;

use super::{Encap, Prefix, VipId};
use crate::wire::{DecodeErrorKind, Reader, Wire, Writer};

fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut writer = Writer::new();
    value.encode(&mut writer);
    writer.finish().to_vec()
}

fn vip(address: &str, protocol: u8, port: u16) -> VipId {
    VipId { prefix: Prefix::host(address.parse().unwrap()), protocol, port }
}

#[test]
fn a_vip_has_the_bytes_that_vpp_sends() {
    let bytes = encode(&vip("203.0.113.10", 6, 443));
    assert_eq!(bytes, [0, 203, 0, 113, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 6, 1, 187]);
    let bytes = encode(&vip("2001:db8:1::1", 17, 53));
    assert_eq!(bytes, [1, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 128, 17, 0, 53]);
}

#[test]
fn an_unknown_family_is_refused_with_its_path_and_place() {
    let mut bytes = encode(&vip("203.0.113.10", 6, 443));
    bytes[0] = 7;
    let error = VipId::decode(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!((error.field(), error.offset()), ("prefix.address.af", 0));
    assert!(matches!(error.kind(), DecodeErrorKind::BadValue { value: 7, .. }));
    assert!(error.to_string().contains("value 7 found, expected 0 (IPv4) or 1 (IPv6)"), "{error}");
}

#[test]
fn bytes_behind_an_ipv4_address_do_not_change_it() {
    let mut bytes = encode(&"10.0.0.1".parse::<IpAddr>().unwrap());
    bytes[16] = 0xff;
    assert_eq!(IpAddr::decode(&mut Reader::new(&bytes)).unwrap(), "10.0.0.1".parse::<IpAddr>().unwrap());
}

#[test]
fn identities_read_well() {
    assert_eq!(vip("203.0.113.10", 6, 80).to_string(), "203.0.113.10/32 protocol 6 port 80");
    assert_eq!(vip("2001:db8::1", 255, 0).to_string(), "2001:db8::1/128 all ports");
    assert_eq!(
        (Encap::Gre6.to_string(), Encap::Other(9).to_string()),
        ("gre6".into(), "unknown encap 9".into())
    );
}

proptest! {
    #[test]
    fn every_encap_value_survives(value: u32) {
        prop_assert_eq!(u32::from(Encap::from(value)), value);
    }

    #[test]
    fn vips_survive_the_wire(address: IpAddr, length: u8, protocol: u8, port: u16) {
        let vip = VipId { prefix: Prefix { address, length }, protocol, port };
        let bytes = encode(&vip);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(VipId::decode(&mut reader).unwrap(), vip);
        prop_assert!(reader.finish().is_ok());
    }
}
