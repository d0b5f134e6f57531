use std::net::IpAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bincode::Options;
use proptest::prelude::*;
use serde::Serialize;
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::tokio_util::bytes::BytesMut;
use tarpc::{ClientMessage, Request, RequestName, Response};

use super::*;
use crate::codec::{ClientCodec, ServerCodec, options};

type Client = ClientCodec<AgentRequest, AgentResponse>;
type Server = ServerCodec<AgentRequest, AgentResponse>;

fn decode_request(frame: &[u8]) -> std::io::Result<ClientMessage<AgentRequest>> {
    let mut codec = Server::default();
    Pin::new(&mut codec).deserialize(&BytesMut::from(frame))
}

fn encode_request(message: AgentRequest, deadline: Duration) -> Vec<u8> {
    let mut context = tarpc::context::current();
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    context.deadline = now + deadline;
    let mut codec = Client::default();
    let item = ClientMessage::Request(Request { context, id: 7, message });
    Pin::new(&mut codec).serialize(&item).unwrap().to_vec()
}

#[test]
fn position_of_every_method_is_pinned() {
    let hello = BrainHello { protocol: 1, version: String::new(), instance: 0 };
    let key = VipKey::port([192, 0, 2, 1].into(), 6, 80);
    let spec = VipSpec {
        key,
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: Default::default(),
    };
    let conf = LbConfSpec {
        ip4_src_address: None,
        ip6_src_address: None,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    let echo = EchoRequest {
        target: [192, 0, 2, 9].into(),
        source: None,
        timeout: Duration::from_secs(1),
        size: MIN_ECHO_SIZE,
    };
    let requests = [
        AgentRequest::Hello { brain: hello },
        AgentRequest::SyncVip { wanted: spec, demands: Demands::default() },
        AgentRequest::SyncAll { wanted: vec![], keep: vec![key] },
        AgentRequest::LbConf { wanted: conf },
        AgentRequest::LbState {},
        AgentRequest::VppInfo {},
        AgentRequest::WaitChange { seen: 3 },
        AgentRequest::Counters { servers: true },
        AgentRequest::IcmpEcho { request: echo },
        AgentRequest::Programmed {},
        AgentRequest::AgentInfo {},
        AgentRequest::WaitLiveness { seen: 3 },
        AgentRequest::HostRoutes { wanted: RoutesSpec::default() },
        AgentRequest::Tunnel {
            targets: vec![TunnelTarget { vip: [192, 0, 2, 9].into(), server: [10, 0, 0, 1].into() }],
        },
        AgentRequest::TunnelReport { source: [192, 0, 2, 9].into() },
    ];
    assert_eq!((PROTOCOL_VERSION, requests.len()), (10, 15), "another set of methods is another version");
    let legal = ["    /// Always legal.", "    /// After hello.", "    /// Writer only."];
    let documented: Vec<_> = include_str!("service.rs").lines().filter(|line| legal.contains(line)).collect();
    for (position, request) in requests.into_iter().enumerate() {
        let bytes = options().serialize(&request).unwrap();
        assert_eq!(usize::from(bytes[0]), position, "{}", request.name());
        let (words, refuse) = match request.legal() {
            Legal::Always => ("Always legal", None),
            Legal::AfterHello(refuse) => ("After hello", Some(refuse)),
            Legal::WriterOnly(refuse) => ("Writer only", Some(refuse)),
        };
        assert_eq!(documented[position], format!("    /// {words}."), "{}", request.name());
        if let Some(refuse) = refuse {
            let answer = options().serialize(&refuse(AgentError::Contradiction(String::new()))).unwrap();
            assert_eq!(usize::from(answer[0]), position, "{}", request.name());
        }
    }
}

/// Fixed-width bytes, as every version writes them.
#[derive(Default)]
struct Frozen(Vec<u8>);

impl Frozen {
    fn u32(mut self, number: u32) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Self {
        let mut written = self.u64(text.len() as u64);
        written.0.extend(text.bytes());
        written
    }

    #[track_caller]
    fn is(self, value: &impl Serialize) {
        assert_eq!(options().serialize(value).unwrap(), self.0);
    }
}

/// The one thing that peers of different versions must always understand.
#[test]
fn hello_is_the_same_in_every_version() {
    let frozen = Frozen::default;
    let brain = BrainHello { protocol: 4, version: "0.1".into(), instance: 7 };
    frozen().u32(0).u32(4).text("0.1").u64(7).is(&AgentRequest::Hello { brain });
    let refused = AgentError::Protocol { agent: 4, brain: 5, agent_version: "0.1".into() };
    let answer = AgentResponse::Hello(Err(refused));
    frozen().u32(0).u32(1).u32(0).u32(4).u32(5).text("0.1").is(&answer);

    let hello = |state| {
        let vpp = VppInfo { generation: 9, state };
        AgentResponse::Hello(Ok(AgentHello { protocol: 4, version: "0.1".into(), instance: 7, vpp }))
    };
    let start = || frozen().u32(0).u32(0).u32(4).text("0.1").u64(7).u64(9);
    let away = VppState::Disconnected { reason: "no".into(), silent_ms: 6 };
    start().u32(0).text("no").u64(6).is(&hello(away));
    let old = VppState::Incompatible { version: "v".into(), missing: vec!["m".into()], needs: "n".into() };
    start().u32(1).text("v").u64(1).text("m").text("n").is(&hello(old));
    let connected = VppState::Connected {
        version: "v".into(),
        build_date: "d".into(),
        build_directory: "b".into(),
        pid: 2,
        boot_time: None,
        connected_for: 4,
    };
    let mut bytes = start().u32(2).text("v").text("d").text("b").u32(2);
    bytes.0.push(0);
    bytes.u64(4).is(&hello(connected));
}

#[test]
fn peers_of_different_versions_are_told_which_to_upgrade() {
    let told =
        |agent, brain| AgentError::Protocol { agent, brain, agent_version: "0.1.0".into() }.to_string();
    assert_eq!(
        told(4, 5),
        "agent 0.1.0 speaks protocol 4, this brain 5: upgrade maglev-dpagent (VPP keeps what it has while it restarts)"
    );
    assert!(told(6, 5).ends_with(": upgrade maglev-brain (VPP keeps what it has while it restarts)"));
}

#[test]
fn request_survives_the_wire() {
    let frame = encode_request(AgentRequest::WaitChange { seen: 3 }, Duration::from_secs(5));
    let ClientMessage::Request(request) = decode_request(&frame).unwrap() else { panic!("not a request") };
    assert_eq!(request.id, 7);
    assert!(matches!(request.message, AgentRequest::WaitChange { seen: 3 }));
}

#[test]
fn cancel_survives_the_wire() {
    let trace_context = tarpc::context::current().trace_context;
    let cancel: ClientMessage<AgentRequest> = ClientMessage::Cancel { trace_context, request_id: 9 };
    let mut codec = Client::default();
    let frame = Pin::new(&mut codec).serialize(&cancel).unwrap();
    assert!(matches!(decode_request(&frame).unwrap(), ClientMessage::Cancel { request_id: 9, .. }));
}

#[test]
fn response_survives_the_wire() {
    let info = VppInfo {
        generation: 4,
        state: VppState::Disconnected { reason: "no socket".into(), silent_ms: 2500 },
    };
    let mut server = Server::default();
    let response = Response { request_id: 1, message: Ok(AgentResponse::VppInfo(info.clone())) };
    let frame = Pin::new(&mut server).serialize(&response).unwrap();
    let mut client = Client::default();
    let back: Response<AgentResponse> =
        Pin::new(&mut client).deserialize(&BytesMut::from(&frame[..])).unwrap();
    let Ok(AgentResponse::VppInfo(back)) = back.message else { panic!("another response") };
    assert_eq!(back, info);
}

#[test]
fn fifty_thousand_servers_fit_into_a_frame() {
    // The largest encoding: each server in another VIP, with addresses of the longer family.
    let vip = |number: u32| {
        let address = IpAddr::from(std::net::Ipv6Addr::from((0x2001_0db8 << 96) | u128::from(number)));
        let servers = [(address, 100)].into();
        ProgrammedVip { key: VipKey::port(address, 6, 443), new_flows_table_length: 65_536, servers }
    };
    let programmed = Programmed { dialect: Dialect::InOut, vips: (1..=50_000).map(vip).collect() };
    let message = Ok(AgentResponse::Programmed(Ok(programmed.clone())));
    let mut server = Server::default();
    let frame = Pin::new(&mut server).serialize(&Response { request_id: 1, message }).unwrap();
    assert!(frame.len() < MAX_FRAME / 4, "{} bytes", frame.len());
    let mut client = Client::default();
    let back: Response<AgentResponse> =
        Pin::new(&mut client).deserialize(&BytesMut::from(&frame[..])).unwrap();
    let Ok(AgentResponse::Programmed(back)) = back.message else { panic!("another response") };
    assert_eq!(back, Ok(programmed));
}

/// A throttled call must not look like a broken connection.
#[test]
fn kind_of_an_error_survives_the_wire() {
    for kind in [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut, std::io::ErrorKind::NotFound] {
        let mut server = Server::default();
        let error = tarpc::ServerError::new(kind, "throttled".into());
        let response: Response<AgentResponse> = Response { request_id: 1, message: Err(error) };
        let frame = Pin::new(&mut server).serialize(&response).unwrap();
        let mut client = Client::default();
        let back: Response<AgentResponse> =
            Pin::new(&mut client).deserialize(&BytesMut::from(&frame[..])).unwrap();
        assert_eq!(back.message.err().map(|error| error.kind), Some(kind));
    }
}

/// A request from a hostile client, with an arbitrary deadline.
#[derive(Serialize)]
enum HostileFrame {
    Request { context: (Duration, tarpc::trace::Context), id: u64, message: AgentRequest },
}

fn hostile(deadline: Duration) -> Vec<u8> {
    let context = (deadline, tarpc::context::current().trace_context);
    let frame = HostileFrame::Request { context, id: 1, message: AgentRequest::VppInfo {} };
    options().serialize(&frame).unwrap()
}

#[test]
fn deadlines_are_clamped() {
    for deadline in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)] {
        let ClientMessage::Request(request) = decode_request(&hostile(deadline)).unwrap() else {
            panic!("not a request")
        };
        #[allow(clippy::disallowed_methods)]
        let latest = Instant::now() + MAX_DEADLINE;
        assert!(request.context.deadline <= latest);
    }
}

#[test]
fn specs_that_vpp_would_choke_on_are_refused() {
    let good = VipSpec {
        key: VipKey::port([192, 0, 2, 1].into(), 6, 80),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: [([10, 0, 0, 1].into(), ServerSpec { weight: 100, flush: false })].into(),
    };
    assert_eq!(good.validate(), Ok(()));
    for length in [0, 1000, 131_072] {
        let spec = VipSpec { new_flows_table_length: length, ..good.clone() };
        assert_eq!(spec.validate(), Err(InvalidSpec::TableLength(length)));
    }
    let mut heavy = good.clone();
    heavy.servers.insert([10, 0, 0, 2].into(), ServerSpec { weight: 101, flush: false });
    assert!(matches!(heavy.validate(), Err(InvalidSpec::Weight { weight: 101, .. })));
    let mut mixed = good.clone();
    mixed.servers.insert("2001:db8::1".parse().unwrap(), ServerSpec { weight: 1, flush: false });
    assert!(matches!(mixed.validate(), Err(InvalidSpec::Family { .. })));
    let portless = VipSpec { key: VipKey { port: 0, ..good.key }, ..good.clone() };
    assert!(matches!(portless.validate(), Err(InvalidSpec::Port { .. })));
    let wide = VipKey { prefix: Prefix { address: [192, 0, 2, 1].into(), length: 24 }, ..good.key };
    assert!(matches!(VipSpec { key: wide, ..good.clone() }.validate(), Err(InvalidSpec::Prefix(_))));
    assert!(matches!(
        VipSpec { encap: Encap::Nat4, ..good }.validate(),
        Err(InvalidSpec::Encap(Encap::Nat4))
    ));
}

#[test]
fn prefixes_are_checked_at_both_ends() {
    for (prefix, valid) in [
        (Prefix { address: [0, 0, 0, 0].into(), length: 0 }, true),
        (Prefix { address: [1, 0, 0, 0].into(), length: 0 }, false),
        (Prefix { address: [1, 2, 3, 4].into(), length: 32 }, true),
        (Prefix { address: [1, 2, 3, 4].into(), length: 33 }, false),
        (Prefix { address: "2001:db8::".parse().unwrap(), length: 32 }, true),
        (Prefix { address: "2001:db8::1".parse().unwrap(), length: 127 }, false),
        (Prefix { address: "2001:db8::1".parse().unwrap(), length: 128 }, true),
        (Prefix { address: "2001:db8::1".parse().unwrap(), length: 129 }, false),
    ] {
        assert_eq!(prefix.is_valid(), valid, "{prefix}");
    }
}

proptest! {
    #[test]
    fn no_frame_makes_the_agent_panic(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
        // Any outcome is fine, but it must return.
        drop(decode_request(&frame));
    }

    #[test]
    fn no_mutated_frame_makes_the_agent_panic(at in 0usize..100, byte: u8, secs: u64) {
        let mut frame = hostile(Duration::from_secs(secs));
        let at = at % frame.len();
        frame[at] = byte;
        drop(decode_request(&frame));
    }
}

/// Addresses of which so many of the first 96 bits are zero.
fn mostly_zero() -> impl Strategy<Value = u128> {
    (any::<u128>(), 0u32..=128).prop_map(|(bits, zeros)| bits.checked_shr(zeros).unwrap_or(0))
}

proptest! {
    /// VPP treats addresses with 96 leading zero bits as IPv4, and looks only at the network's address.
    #[test]
    fn what_vpp_would_take_for_ipv4_is_found(bits in mostly_zero(), length in 0u8..=128) {
        let network = bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let prefix = Prefix { address: std::net::Ipv6Addr::from(network).into(), length };
        prop_assert!(prefix.is_valid());
        prop_assert_eq!(prefix.meets_ipv4_range(), network >> 32 == 0, "{}", prefix);
        let [.., a, b, c, d] = bits.to_be_bytes();
        let v4 = Prefix { address: [a, b, c, d].into(), length };
        prop_assert!(!v4.meets_ipv4_range());
    }
}
