use std::io::Write;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use proptest::prelude::*;

use super::*;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// By the structures nlmsghdr, rtmsg and rtattr of netlink(7) and rtnetlink(7), in the order of little-endian machines.
#[test]
#[cfg(target_endian = "little")]
fn requests_are_as_the_kernel_documents_them() {
    let add = Change { address: V4, table: 1000, add: true };
    let expected = [
        44, 0, 0, 0, 24, 0, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWROUTE; REQUEST, ACK, EXCL, CREATE
        2, 32, 0, 0, 0, 200, 0, 6, 0, 0, 0, 0, // AF_INET /32, protocol 200, RTN_BLACKHOLE
        8, 0, 1, 0, 198, 51, 100, 1, // RTA_DST
        8, 0, 15, 0, 232, 3, 0, 0, // RTA_TABLE
    ];
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    assert_eq!(encode(RouteNetlinkMessage::NewRoute(route(add, 200)), flags, 7), expected);
    let remove =
        encode(RouteNetlinkMessage::DelRoute(route(Change { add: false, ..add }, 200)), NLM_F_ACK, 8);
    assert_eq!(
        (&remove[4..12], &remove[16..24]),
        (&[25, 0, 5, 0, 8, 0, 0, 0][..], &[2, 32, 0, 0, 0, 200, 0, 0][..])
    );
    let list = encode(list(AddressFamily::Inet6, 10, 200), NLM_F_DUMP, 9);
    assert_eq!(list[4..8], [26, 0, 1, 3]);
    assert_eq!(list[16..], [10, 0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 8, 0, 15, 0, 10, 0, 0, 0]);
}

#[test]
fn only_host_routes_of_the_table_and_protocol_are_ours() {
    for address in [V4, V6] {
        let ours = route(Change { address, table: 300, add: true }, 200);
        assert_eq!(host(&ours, 300, 200), Some(address));
        assert_eq!((host(&ours, 301, 200), host(&ours, 300, 201)), (None, None));
        let mut wider = ours.clone();
        wider.header.destination_prefix_length -= 1;
        assert_eq!(host(&wider, 300, 200), None);
    }
}

fn answer(code: i32, sequence: u32) -> Vec<u8> {
    let header = [36, 2].map(u32::to_ne_bytes).concat();
    let rest = [sequence.to_ne_bytes(), [0; 4], code.to_ne_bytes()].concat();
    [header, rest, vec![0; 16]].concat()
}

#[test]
fn answers_are_those_of_the_request() {
    let read = |bytes: &[u8]| {
        let mut found = Vec::new();
        decode(bytes, 7, &mut |route| found.push(route)).map(|done| (done, found.len()))
    };
    let one =
        encode(RouteNetlinkMessage::NewRoute(route(Change { address: V6, table: 10, add: true }, 200)), 0, 7);
    assert_eq!(read(&[]).unwrap(), (false, 0));
    assert_eq!(read(&[one.clone(), one.clone()].concat()).unwrap(), (false, 2));
    assert_eq!(read(&[one.clone(), answer(0, 7)].concat()).unwrap(), (true, 1));
    assert_eq!(read(&answer(0, 6)).unwrap(), (false, 0), "an earlier request's");
    assert_eq!(read(&answer(-1, 7)).unwrap_err().raw_os_error(), Some(1));
    assert_eq!(read(&one[..20]).unwrap_err().to_string(), "the kernel's answer is malformed");
}

proptest! {
    #[test]
    fn no_datagram_makes_the_agent_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..44_usize, byte: u8) {
        drop(decode(&bytes, 7, &mut |route| { host(&route, 10, 200); }));
        let mut one = encode(RouteNetlinkMessage::NewRoute(route(Change { address: V4, table: 10, add: true }, 200)), 0, 7);
        one[at] = byte;
        drop(decode(&one, 7, &mut |route| { host(&route, 10, 200); }));
    }

    #[test]
    fn routes_survive_the_wire(bits: u128, is_v6: bool, table in 1..u32::MAX, protocol in 200..=255_u8, add: bool) {
        let v4 = u32::try_from(bits >> 96).unwrap();
        let address = if is_v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4(v4.into()) };
        let bytes = encode(RouteNetlinkMessage::NewRoute(route(Change { address, table, add }, protocol)), 0, 7);
        let mut found = Vec::new();
        prop_assert!(!decode(&bytes, 7, &mut |route| found.extend(host(&route, table, protocol))).unwrap());
        prop_assert_eq!(found, [address]);
    }
}

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// In a network namespace of its thread.
#[test]
fn the_kernel_itself_has_the_routes() {
    let skipped = |why: &str| drop(writeln!(std::io::stderr(), "skipped: routes in a real kernel: {why}"));
    let test = move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            return skipped(&format!("no network namespace of its own: {error}"));
        }
        if Command::new("ip").arg("-V").output().is_err() {
            return skipped("there is no iproute2");
        }
        ip("link set lo up");
        let mut kernel = Netlink::open().unwrap();
        assert_eq!(kernel.read(1000, 200).unwrap(), BTreeSet::new(), "a table that does not exist");
        for address in [V4, V6] {
            kernel.change(Change { address, table: 1000, add: true }, 200).unwrap();
        }
        assert_eq!(ip("route show table 1000"), "blackhole 198.51.100.1 proto 200");
        assert!(ip("-6 route show table 1000").starts_with("blackhole 2001:db8::1 dev lo proto 200"));
        assert_eq!(kernel.read(1000, 200).unwrap(), [V4, V6].into());

        // Neither read nor removed: of another protocol, in another table, wider.
        ip("route add blackhole 198.51.100.2/32 table 1000 proto 201");
        ip("route add blackhole 198.51.100.3/32 table 1001 proto 200");
        ip("route add blackhole 198.51.100.8/30 table 1000 proto 200");
        assert_eq!(kernel.read(1000, 200).unwrap(), [V4, V6].into());
        let other = Change { address: [198, 51, 100, 2].into(), table: 1000, add: false };
        kernel.change(other, 200).unwrap();
        assert!(ip("route show table 1000").contains("198.51.100.2"));
        let error = kernel.change(Change { add: true, ..other }, 200).unwrap_err();
        assert_eq!(error.to_string(), "somebody else has a route there");

        for address in [V4, V6] {
            kernel.change(Change { address, table: 1000, add: false }, 200).unwrap();
            kernel.change(Change { address, table: 1000, add: false }, 200).unwrap();
        }
        assert_eq!(kernel.read(1000, 200).unwrap(), BTreeSet::new());

        // More than fit into one datagram.
        let many: BTreeSet<IpAddr> = (0..5000_u16)
            .map(|number| {
                let [high, low] = number.to_be_bytes();
                IpAddr::from([198, 18, high, low])
            })
            .collect();
        many.iter().for_each(|address| {
            kernel.change(Change { address: *address, table: 7, add: true }, 255).unwrap()
        });
        assert_eq!(kernel.read(7, 255).unwrap(), many);
    };
    std::thread::spawn(test).join().unwrap();
}
