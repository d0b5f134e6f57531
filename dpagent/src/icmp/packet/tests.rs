use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Change = fn(&mut Vec<u8>);
type Decode = fn(&[u8]) -> Result<Message<'_>, Malformed>;

const TOKEN: Token =
    [0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87, 0x78, 0x69, 0x5a, 0x4b, 0x3c, 0x2d, 0x1e, 0x0f];
const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

fn id(identifier: u16, sequence: u16) -> EchoId {
    EchoId { identifier, sequence }
}

fn request(target: &IpAddr, id: EchoId, token: &Token, size: u16) -> Vec<u8> {
    let mut packet = vec![1, 2, 3];
    write_request(target, id, token, size, &mut packet);
    packet
}

/// Built with Python's `struct` and a checksum in wide arithmetic.
#[test]
fn requests_are_as_another_program_makes_them() {
    let cases = [
        (V4, id(0xbeef, 0x1234), 16, "0800eb17beef1234f0e1d2c3b4a5968778695a4b3c2d1e0f"),
        (V4, id(0xffff, 0xfffe), 21, "08008618fffffffef0e1d2c3b4a5968778695a4b3c2d1e0f1011121314"),
        (V6, id(0xbeef, 0x1234), 21, "80000000beef1234f0e1d2c3b4a5968778695a4b3c2d1e0f1011121314"),
    ];
    for (target, id, size, expected) in cases {
        assert_eq!(request(&target, id, &TOKEN, size), bytes(expected));
    }
    let longest = request(&V4, id(1, 2), &TOKEN, MAX_ECHO_SIZE);
    assert_eq!((longest.len(), &longest[8 + 254..8 + 258]), (LONGEST_REQUEST, &[254, 255, 0, 1][..]));
}

/// Received from raw sockets of Linux 6.18 while iputils' ping ran: without and with IP options (record
/// route).
const REPLY_V4: &str = "450000347e6400004001fe627f0000017f000001000084aa021000013e45016b00000000e4430900000000001011121314\
                        151617";
const REPLY_V4_OPTIONS: &str = "4f00005c855a00004001d1a07f0000017f0000010727147f0000017f0000017f0000017f00\
                                00010000000000000000000000000000000000000000000000cf0f022c00014845016b0000000092c20600000000001011121314151617";
const REPLY_V6: &str = "8100a519021200013f45016b000000003e760c00000000001011121314151617";

#[test]
fn replies_that_the_kernel_delivered_are_decoded() {
    let payload = |hex: &str| bytes(&format!("{hex}1011121314151617"));
    let cases = [
        (decode_v4 as Decode, REPLY_V4, id(0x210, 1), payload("3e45016b00000000e443090000000000")),
        (decode_v4, REPLY_V4_OPTIONS, id(0x22c, 1), payload("4845016b0000000092c2060000000000")),
        (decode_v6, REPLY_V6, id(0x212, 1), payload("3f45016b000000003e760c0000000000")),
    ];
    for (decode, packet, id, payload) in cases {
        let packet = bytes(packet);
        assert_eq!(decode(&packet), Ok(Message::Reply(Echo { id, payload: &payload })));
    }
}

/// Recorded like the replies, with a neighbour that does not exist.
const ERROR_V4: &str = "45c00050c85900004001256dc6120001c61200010301fcfe0000000045000034a216400040010c84c6120001c6120009\
                        0800ffbe05cc00015d45016b0000000043730400000000001011121314151617";
const ERROR_V6: &str = "0103bdb80000000060084b3700203a4020010db800000000000000000000000120010db8000000000000000000000009\
                        80002de4069800016145016b000000003bab0500000000001011121314151617";

#[test]
fn errors_that_the_kernel_delivered_are_decoded() {
    let (packet, payload) = (bytes(ERROR_V4), bytes("5d45016b0000000043730400000000001011121314151617"));
    let quoted = Echo { id: id(0x5cc, 1), payload: &payload };
    let target = [198, 18, 0, 9].into();
    assert_eq!(decode_v4(&packet), Ok(Message::Error { kind: 3, code: 1, target, quoted }));

    let (packet, payload) = (bytes(ERROR_V6), bytes("6145016b000000003bab0500000000001011121314151617"));
    let quoted = Echo { id: id(0x698, 1), payload: &payload };
    let target = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into();
    assert_eq!(decode_v6(&packet), Ok(Message::Error { kind: 1, code: 3, target, quoted }));
}

/// Inserts a first fragment's header between the quoted IPv6 header and the request.
fn quoting_a_fragment(offset: u16) -> Vec<u8> {
    let whole = bytes(ERROR_V6);
    let (before, request) = whole.split_at(48);
    let mut packet = before.to_vec();
    packet[14] = FRAGMENT;
    packet.extend([ICMPV6, 0]);
    packet.extend((offset << 3 | 1).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(request);
    packet
}

#[test]
fn the_first_fragment_of_a_request_is_recognised_and_later_ones_are_not() {
    let first = quoting_a_fragment(0);
    assert!(matches!(decode_v6(&first), Ok(Message::Error { quoted, .. }) if quoted.id == id(0x698, 1)));
    assert_eq!(decode_v6(&quoting_a_fragment(1)), Ok(Message::Other));
    let later = with_checksum(&bytes(ERROR_V4), |packet| packet[35] = 1);
    assert_eq!(decode_v4(&later), Ok(Message::Other));
}

/// Changes an IPv4 packet without options, then corrects its ICMP checksum.
fn with_checksum(packet: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = packet.to_vec();
    change(&mut packet);
    packet[22..24].fill(0);
    let sum = checksum(&packet[20..]);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn what_is_not_about_echo_requests_of_this_machine_is_other() {
    let packet = bytes(ERROR_V4);
    let changes: [(&str, Change); 5] = [
        ("redirect", |packet| packet[20] = 5),
        ("source quench", |packet| packet[20] = 4),
        ("request", |packet| packet[20] = 8),
        ("quotes UDP", |packet| packet[37] = 17),
        ("quotes a reply", |packet| packet[48] = 0),
    ];
    for (name, change) in changes {
        assert_eq!(decode_v4(&with_checksum(&packet, change)), Ok(Message::Other), "{name}");
    }
    for (at, value) in [(0, 128), (0, 135), (0, 100), (14, 17), (48, 129)] {
        let mut packet = bytes(ERROR_V6);
        packet[at] = value;
        assert_eq!(decode_v6(&packet), Ok(Message::Other), "{value} at {at}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let packet = bytes(REPLY_V4);
    let header = "an IPv4 header";
    let cases = [
        (packet[..19].to_vec(), Malformed::Short { what: header, found: 19, least: 20 }),
        (packet[..27].to_vec(), Malformed::Checksum { sum: checksum(&packet[20..27]) }),
        ([&[0x65], &packet[1..]].concat(), Malformed::Version { what: header, found: 6, right: 4 }),
        ([&[0x44], &packet[1..]].concat(), Malformed::Short { what: header, found: 52, least: 20 }),
        ([&[0x4f], &packet[1..52]].concat(), Malformed::Short { what: header, found: 52, least: 60 }),
    ];
    for (packet, expected) in cases {
        assert_eq!(decode_v4(&packet), Err(expected));
    }
    let short = Malformed::Short { what: "a quoted message", found: 7, least: 8 };
    assert_eq!(decode_v6(&bytes(ERROR_V6)[..55]), Err(short));
    assert_eq!(short.to_string(), "a quoted message is cut off: 7 bytes, but it has at least 8");
    let cut = with_checksum(&bytes(ERROR_V4)[..55], |_| {});
    assert_eq!(decode_v4(&cut), Err(short));
}

/// Wraps a message in an IPv4 packet.
fn in_ipv4(message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMPV4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    packet.extend(message);
    packet
}

fn family() -> impl Strategy<Value = (IpAddr, Decode)> {
    prop_oneof![Just((V4, decode_v4 as _)), Just((V6, decode_v6 as _))]
}

fn sample() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(bytes(REPLY_V4)),
        Just(bytes(REPLY_V4_OPTIONS)),
        Just(bytes(REPLY_V6)),
        Just(bytes(ERROR_V4)),
        Just(bytes(ERROR_V6)),
        Just(quoting_a_fragment(0)),
    ]
}

/// The checksum in wide arithmetic.
fn wide_checksum(bytes: &[u8]) -> u16 {
    let sum: u64 = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or_default()))
        .sum();
    let folded = match sum % 0xffff {
        0 if sum > 0 => 0xffff,
        rest => rest,
    };
    !u16::try_from(folded).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(datagram in vec(any::<u8>(), 0..200)) {
        let (_v4, _v6) = (decode_v4(&datagram), decode_v6(&datagram));
    }

    #[test]
    fn changed_and_cut_messages_do_not_make_it_panic(
        mut packet in sample(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        repair in any::<bool>(),
    ) {
        for (at, value) in changes {
            let at = at.index(packet.len());
            packet[at] = value;
        }
        packet.truncate(length.index(packet.len() + 1));
        if repair && packet.len() >= 24 {
            packet = with_checksum(&packet, |_| {});
        }
        let (_v4, _v6) = (decode_v4(&packet), decode_v6(&packet));
    }

    #[test]
    fn a_request_that_is_answered_comes_back_whole(
        (target, decode) in family(),
        identifier: u16,
        sequence: u16,
        token: Token,
        size in 16..=MAX_ECHO_SIZE,
    ) {
        let id = id(identifier, sequence);
        let mut packet = request(&target, id, &token, size);
        prop_assert_eq!(packet.len(), 8 + usize::from(size));
        packet[0] = if target.is_ipv4() { v4::REPLY } else { v6::REPLY };
        if target.is_ipv4() {
            packet = with_checksum(&in_ipv4(&packet), |_| {});
        }
        let Ok(Message::Reply(echo)) = decode(&packet) else { panic!("{:?}", decode(&packet)) };
        prop_assert_eq!(echo.id, id);
        prop_assert!(is_payload(echo.payload, &token, size));
    }

    #[test]
    fn a_payload_that_differs_anywhere_is_not_the_one(
        token: Token,
        size in 16..=MAX_ECHO_SIZE,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut payload = request(&V6, id(1, 2), &token, size).split_off(8);
        prop_assert!(is_payload(&payload, &token, size));
        prop_assert!(!is_payload(&payload, &token, size + 1));
        prop_assert!(!is_payload(&payload[..payload.len() - 1], &token, size));
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        prop_assert!(!is_payload(&payload, &token, size));
    }

    #[test]
    fn the_checksum_is_that_of_wide_arithmetic(message in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(checksum(&message), wide_checksum(&message));
    }

    #[test]
    fn a_damaged_reply_is_refused(at in 20..52usize, bit in 0..8u8) {
        let mut packet = bytes(REPLY_V4);
        packet[at] ^= 1 << bit;
        let refused = matches!(decode_v4(&packet), Err(Malformed::Checksum { .. }));
        prop_assert!(refused, "byte {}, bit {}", at, bit);
    }
}
