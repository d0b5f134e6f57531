//! Target: packets from raw ICMP sockets, which anybody on the network may send.

use maglev_dpagent::icmp::packet::{
    Echo, EchoId, Malformed, Message, decode_v4, decode_v6, is_payload, write_request,
};

/// Bytes of ICMP's own header.
const HEADER: usize = 8;

/// The bytes are the received packet; the first ones also select the request to send.
pub fn check(data: &[u8]) {
    check_message(data, decode_v4(data), 20 + HEADER);
    check_message(data, decode_v6(data), HEADER);
    if let Some(mended) = mended(data) {
        let decoded = decode_v4(&mended);
        assert!(!matches!(decoded, Err(Malformed::Checksum { .. })), "{decoded:?}");
        check_message(&mended, decoded, 20 + HEADER);
    }
    check_request(data);
}

/// A reply has at least this many bytes before its payload; an error has further headers around it.
fn check_message(datagram: &[u8], decoded: Result<Message<'_>, Malformed>, before: usize) {
    match decoded {
        Ok(Message::Reply(Echo { payload, .. })) => {
            assert!(datagram.ends_with(payload) && payload.len() + before <= datagram.len());
        }
        Ok(Message::Error { quoted, target, .. }) => {
            let quoted_header = if target.is_ipv4() { 20 } else { 40 };
            let headers = before + quoted_header + HEADER;
            assert!(datagram.ends_with(quoted.payload) && quoted.payload.len() + headers <= datagram.len());
        }
        Ok(Message::Other) => {}
        Err(malformed) => assert!(!malformed.to_string().is_empty()),
    }
}

/// The IPv4 packet with a correct ICMP checksum, which random bytes rarely have.
fn mended(datagram: &[u8]) -> Option<Vec<u8>> {
    let start = usize::from(datagram.first()? & 0xf) * 4;
    let mut mended = datagram.to_vec();
    let message = mended.get_mut(start.max(20)..).filter(|message| message.len() >= HEADER)?;
    message[2..4].fill(0);
    let words = message.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = words.sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    message[2..4].copy_from_slice(&[high, low]);
    Some(mended)
}

/// A request that is returned as a reply, or quoted in an error, must be recognized.
fn check_request(data: &[u8]) {
    let Some(([i0, i1, s0, s1, z0, z1], rest)) = data.split_first_chunk() else { return };
    let Some(token) = rest.first_chunk() else { return };
    let id = EchoId { identifier: u16::from_be_bytes([*i0, *i1]), sequence: u16::from_be_bytes([*s0, *s1]) };
    let size = 16 + u16::from_be_bytes([*z0, *z1]) % 1457;
    let mut message = Vec::new();
    write_request(&[192, 0, 2, 1].into(), id, token, size, &mut message);
    message[0] = 0;
    let reply = mended(&[&[0x45][..], &[0; 19], &message].concat()).expect("a whole message");
    let Ok(Message::Reply(echo)) = decode_v4(&reply) else { panic!("no reply: {reply:?}") };
    assert!(echo.id == id && is_payload(echo.payload, token, size));

    write_request(&std::net::Ipv6Addr::LOCALHOST.into(), id, token, size, &mut message);
    message[0] = 129;
    let Ok(Message::Reply(echo)) = decode_v6(&message) else { panic!("no reply: {message:?}") };
    assert!(echo.id == id && is_payload(echo.payload, token, size));
    assert!(!is_payload(rest, token, size) || rest.len() == usize::from(size));
}
