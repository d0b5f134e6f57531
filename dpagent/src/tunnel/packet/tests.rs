use proptest::prelude::*;

use super::*;

const V4: Addresses = Addresses {
    source: IpAddr::V4(Ipv4Addr::new(10, 255, 0, 9)),
    target: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
};

fn v6() -> Addresses {
    Addresses { source: "fd00::9".parse().unwrap(), target: "2001:db8::1".parse().unwrap() }
}

#[test]
fn an_icmp_packet_is_built_byte_by_byte() {
    let mut packet = Vec::new();
    // An echo request with its checksum.
    let message = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
    write_icmp(V4, &message, &mut packet).unwrap();
    let header = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x05, 0xa5, 10, 255, 0, 9, 198, 51, 100, 1];
    assert_eq!(packet, [&header[..], &message].concat());
    assert_eq!(checksum(&packet[..20]), 0);

    write_icmp(v6(), &[128, 0, 0, 0, 0, 1, 0, 1], &mut packet).unwrap();
    assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 8, 58, 64]);
    let pseudo = [&packet[8..40], &[0, 0, 0, 8, 0, 0, 0, 58], &packet[40..]].concat();
    assert_eq!(checksum(&pseudo), 0);
    assert_eq!(addresses(&packet), Ok(v6()));
}

#[test]
fn families_do_not_mix() {
    let mixed = Addresses { target: v6().target, ..V4 };
    assert_eq!(write_icmp(mixed, &[0; 8], &mut Vec::new()), None);
    assert_eq!((gre_header(V4.source), gre_header(v6().source)), ([0, 0, 8, 0], [0, 0, 0x86, 0xdd]));
}

#[test]
fn what_is_not_exactly_one_packet_is_refused() {
    let mut packet = Vec::new();
    write_icmp(V4, &[0; 100], &mut packet).unwrap();
    for wrong in [&packet[..119], &[&packet[..], &[0]].concat(), &packet[..19], &[]] {
        assert_eq!(addresses(wrong), Err(Malformed::Length(wrong.len())));
    }
    for first in [0x44, 0x4f] {
        let wrong = [&[first], &packet[1..]].concat();
        // A header of 16 bytes, and one of 60, which fits.
        assert_eq!(addresses(&wrong).is_ok(), first == 0x4f);
    }
    assert_eq!(addresses(&[0x55; 40]), Err(Malformed::Version(5)));
    let long = [&[0x45, 0, 5, 0xdd][..], &[0; 1497]].concat();
    assert_eq!(addresses(&long), Err(Malformed::Length(1501)));
    assert_eq!(write_icmp(V4, &[0; 1481], &mut packet), None);
    assert_eq!(write_icmp(V4, &[0; 1480], &mut packet), Some(()));
    assert_eq!(write_icmp(v6(), &[0; 1461], &mut packet), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in proptest::collection::vec(any::<u8>(), 8..1460), ip4: bool) {
        let (wanted, mut packet) = (if ip4 { V4 } else { v6() }, Vec::new());
        write_icmp(wanted, &message, &mut packet).unwrap();
        prop_assert_eq!(addresses(&packet), Ok(wanted));
        let kept = if ip4 { &packet[20..] } else { &packet[40..] };
        prop_assert_eq!(kept.len(), message.len());
    }

    #[test]
    fn any_bytes_are_one_packet_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
        prop_assert!(addresses(&bytes).is_err() || bytes.len() <= LONGEST);
    }
}
