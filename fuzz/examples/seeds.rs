//! Writes the fuzzer's initial inputs to `corpus/TARGET/`: pieces of the recorded conversation with VPP, its
//! stats segment with a few entries, and a frame of every call. `cargo run --example seeds`, then `cargo fuzz
//! cmin TARGET`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use maglev_dpagent::icmp::packet;
use maglev_dpagent::tunnel;
use maglev_protocol::codec::{ClientCodec, ServerCodec};
use maglev_protocol::*;
use serde_json::Value;
use tarpc::tokio_serde::Serializer;
use tarpc::{ClientMessage, Request, Response, ServerError};
use vppapi::frame::FrameCodec;
use vppapi::messages::{SOCKCLNT_CREATE_REPLY_ID, SockclntCreateReply, decode_bare, encode_bare, name_crcs};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let frames = recorded_frames()?;
    write("api_frames", api_frames(&frames)?)?;
    write("bird_replies", bird_replies())?;
    write("cli_text", cli_text(&frames))?;
    write("stats_segment", vec![stats_segment(1)?, stats_segment(3)?])?;
    write("rpc_frames", rpc_frames()?)?;
    write("agent_calls", agent_calls()?)?;
    write("icmp_packets", icmp_packets())?;
    write("tunnel_packets", tunnel_packets())?;
    write("fleet_records", fleet_records())?;
    write("overrides", overrides())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn write(target: &str, seeds: Vec<Vec<u8>>) -> Result<(), Failure> {
    let folder = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
    }
    Ok(())
}

/// Name and body of each frame.
fn recorded_frames() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let text = std::fs::read_to_string(root().join("tests/vectors/api-26.10.jsonl"))?;
    let mut frames = Vec::new();
    for line in text.lines() {
        let frame: Value = serde_json::from_str(line)?;
        let (Some(name), Some(digits)) = (frame["name"].as_str(), frame["body"].as_str()) else {
            return Err(format!("no frame: {line}").into());
        };
        let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
        frames.push((name.to_owned(), bytes.collect::<Result<_, _>>()?));
    }
    Ok(frames)
}

/// One frame of each name, each in pieces of another size, and both dumps in one stream.
fn api_frames(frames: &[(String, Vec<u8>)]) -> Result<Vec<Vec<u8>>, Failure> {
    let by_name: BTreeMap<_, _> = frames.iter().map(|(name, body)| (name.as_str(), body)).collect();
    let stream = |piece: u8, bodies: &[&Vec<u8>]| {
        let mut stream = BytesMut::from(&[piece][..]);
        bodies.iter().try_for_each(|body| FrameCodec::default().put(&[body], &mut stream))?;
        Ok::<_, Failure>(stream.to_vec())
    };
    let mut seeds = Vec::new();
    for (piece, (name, body)) in (1..).zip(by_name) {
        let reduced = if name == "sockclnt_create_reply" { known_table(body)? } else { body.clone() };
        seeds.push(stream(piece, &[&reduced])?);
    }
    let dumps: Vec<_> =
        frames.iter().filter(|(name, _)| name.contains("details")).map(|(_, body)| body).collect();
    seeds.push(stream(100, dumps.get(..12).unwrap_or_default())?);
    Ok(seeds)
}

/// The handshake's reply, with a table of only the known messages.
fn known_table(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut reply: SockclntCreateReply = decode_bare(body)?;
    reply.table.retain(|entry| name_crcs().any(|known| known == entry.name_crc.as_str()));
    Ok(encode_bare(SOCKCLNT_CREATE_REPLY_ID, &reply).to_vec())
}

/// As BIRD 2.0.12 sends them.
fn bird_replies() -> Vec<Vec<u8>> {
    let table = "2002-Name       Proto      Table      State  Since         Info\n\
        1002-maglev_192_0_2_1 Static     maglev4    down   17:52:04.506  \n \
        maglev_2001_db8__1 Static     maglev6    up     17:52:02.000  \n0000 \n";
    let done = "0011-maglev_192_0_2_1: enabled\n0000 \n0008-maglev_192_0_2_1: already disabled\n0000 \n";
    let refused =
        "8003 No protocols match\n8007 Access denied\n9001 syntax error, unexpected CF_SYM_UNDEFINED\n";
    let texts = ["0001 BIRD 2.0.12 ready.\n", table, done, refused];
    texts.iter().map(|text| [&[7], text.as_bytes()].concat()).collect()
}

fn cli_text(frames: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let replies = frames.iter().filter(|(name, _)| name.starts_with("cli_inband_reply"));
    // The text follows id, context, return value and length.
    replies.filter_map(|(_, body)| body.get(14..)).map(<[u8]>::to_vec).collect()
}

/// The recorded segment with a few of its 3,157 entries and their vectors. Each thread has the counters of
/// the single recorded one.
fn stats_segment(threads: usize) -> Result<Vec<u8>, Failure> {
    const KEPT: [&str; 6] = [
        "/sys/boottime",
        "/sys/heartbeat",
        "packet from existing sessions",
        "no server configured",
        "/net/route/to",
        "/if/names",
    ];
    let mut bytes = Vec::new();
    let file = std::fs::File::open(root().join("tests/vectors/stats-26.10.bin.gz"))?;
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let recorded = Recorded(words.collect());
    let mut kept = vec![0; 16];
    let mut directory = Vec::new();
    let entries = recorded.vector(recorded.0[4], 18);
    for name in KEPT {
        let named = |entry: &&[u64]| {
            let text: Vec<u8> = entry[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
            text.split(|byte| *byte == 0).next() == Some(name.as_bytes())
        };
        let mut entry = entries.chunks(18).find(named).ok_or(name)?.to_vec();
        entry[1] = match entry[0] {
            2 => recorded.copy_counters(entry[1], 1, threads, &mut kept),
            3 => recorded.copy_counters(entry[1], 2, threads, &mut kept),
            4 => recorded.copy_names(entry[1], &mut kept),
            _ => entry[1],
        };
        directory.extend(entry);
    }
    // One more: index 30 of the routes.
    let route = 4 | 30 << 32;
    directory.extend([6, route, u64::from_le_bytes(*b"/a/link\0")].into_iter().chain([0; 15]));
    let count = directory.len() / 18;
    let directory = append(&mut kept, u64::try_from(count)?, &directory);
    kept[..5].copy_from_slice(&[2, BASE, 583, 0, directory]);
    Ok(kept.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Where the small segment lies, for its own pointers.
const BASE: u64 = 0x7f00_0000_0000;

fn append(kept: &mut Vec<u64>, count: u64, words: &[u64]) -> u64 {
    kept.push(count);
    let pointer = BASE + 8 * u64::try_from(kept.len()).unwrap_or(u64::MAX);
    kept.extend_from_slice(words);
    pointer
}

struct Recorded(Vec<u64>);

impl Recorded {
    fn at(&self, pointer: u64) -> usize {
        usize::try_from((pointer - self.0[1]) / 8).unwrap_or(usize::MAX)
    }

    /// Number of elements.
    fn count(&self, pointer: u64) -> u64 {
        self.0[self.at(pointer) - 1] & u64::from(u32::MAX)
    }

    /// The elements of a vector, of so many words each.
    fn vector(&self, pointer: u64, width: usize) -> &[u64] {
        let count = usize::try_from(self.count(pointer)).unwrap_or(usize::MAX);
        &self.0[self.at(pointer)..][..count * width]
    }

    fn copy_counters(&self, pointer: u64, width: usize, threads: usize, kept: &mut Vec<u64>) -> u64 {
        let [recorded] = *self.vector(pointer, 1) else { panic!("one thread was recorded") };
        let mut copy = || append(kept, self.count(recorded), self.vector(recorded, width));
        let pointers: Vec<u64> = (0..threads).map(|_| copy()).collect();
        append(kept, self.count(pointer) * pointers.len() as u64, &pointers)
    }

    fn copy_names(&self, pointer: u64, kept: &mut Vec<u64>) -> u64 {
        let copy = |name: &u64| {
            let length = self.count(*name);
            let words = usize::try_from(length.div_ceil(8)).unwrap_or(usize::MAX);
            append(kept, length, &self.0[self.at(*name)..][..words])
        };
        let names: Vec<u64> = self.vector(pointer, 1).iter().map(copy).collect();
        append(kept, self.count(pointer), &names)
    }
}

fn spec(port: u16, weights: &[u8]) -> VipSpec {
    VipSpec {
        key: VipKey::port([192, 0, 2, 1].into(), 6, port),
        encap: Encap::Gre4,
        src_ip_sticky: port == 443,
        new_flows_table_length: 1024,
        servers: (1..)
            .zip(weights)
            .map(|(last, weight)| ([10, 0, 0, last].into(), ServerSpec { weight: *weight, flush: last == 2 }))
            .collect(),
    }
}

/// A cancellation and every call, each in a frame of its own.
fn calls() -> Result<Vec<Vec<u8>>, Failure> {
    let conf = LbConfSpec {
        ip4_src_address: Some([192, 0, 2, 254].into()),
        ip6_src_address: None,
        sticky_buckets_per_core: 65_536,
        flow_timeout: 40,
    };
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version: "0.1.0".to_owned(), instance: 7 };
    let keep = vec![VipKey::all_ports([192, 0, 2, 9].into())];
    let demands = Demands { flush: [[10, 0, 0, 1].into()].into(), recreate: true };
    let (target, timeout) = ([192, 0, 2, 1].into(), Duration::from_secs(1));
    let echo = EchoRequest { target, source: None, timeout, size: 56 };
    let requests = [
        AgentRequest::Hello { brain },
        AgentRequest::SyncVip { wanted: spec(80, &[100, 0]), demands },
        AgentRequest::SyncAll { wanted: vec![spec(80, &[1, 2, 3]), spec(443, &[100])], keep },
        AgentRequest::LbConf { wanted: conf },
        AgentRequest::LbState {},
        AgentRequest::VppInfo {},
        AgentRequest::WaitChange { seen: 3 },
        AgentRequest::IcmpEcho { request: echo },
        AgentRequest::Counters { servers: true },
        AgentRequest::Programmed {},
        AgentRequest::AgentInfo {},
    ];
    let mut client: ClientCodec<AgentRequest, AgentResponse> = ClientCodec::default();
    let mut frame = |message| serialized(Pin::new(&mut client).serialize(&message));
    // Without a trace, and with a deadline already past when encoded, so that the bytes are the same each
    // time.
    let mut context = tarpc::context::current();
    context.trace_context = tarpc::trace::Context::default();
    context.deadline -= Duration::from_secs(60);
    let cancel = ClientMessage::Cancel { trace_context: context.trace_context, request_id: 9 };
    let mut frames = vec![frame(cancel)?];
    for (id, message) in (1..).zip(requests) {
        frames.push(frame(ClientMessage::Request(Request { context, id, message }))?);
    }

    Ok(frames)
}

/// Each call alone, with and without a preceding hello, and all together. A deadline of five seconds replaces
/// the past one.
fn agent_calls() -> Result<Vec<Vec<u8>>, Failure> {
    let mut calls = calls()?;
    for call in calls.iter_mut().skip(1) {
        call.get_mut(4..12).ok_or("no deadline")?.copy_from_slice(&5_u64.to_le_bytes());
    }
    let framed = |call: &Vec<u8>| Ok([&u16::try_from(call.len())?.to_be_bytes(), &call[..]].concat());
    let framed = calls.iter().map(framed).collect::<Result<Vec<_>, Failure>>()?;
    let mut seeds: Vec<_> =
        framed.iter().flat_map(|call| [1, 0].map(|greets| [&[greets], &call[..]].concat())).collect();
    let all = framed.concat();
    seeds.push([&[1], &all[..]].concat());
    seeds.push([&[1], &all[..all.len() - 7]].concat());
    Ok(seeds)
}

/// Every call, and every answer of the calls with the largest answers.
fn rpc_frames() -> Result<Vec<Vec<u8>>, Failure> {
    let mut frames = calls()?;
    let report = VipReport {
        key: spec(80, &[]).key,
        changes: vec![
            Change::VipRecreated { reason: "src_ip_sticky".to_owned() },
            Change::ServerAdded { server: [10, 0, 0, 1].into(), weight: 100 },
            Change::Reweighted { server: [10, 0, 0, 2].into(), from: 100, to: 0, flushed: true },
        ],
        table_length: Some(TableLengthKept { has: 1024, wanted: 4096 }),
        errors: vec![StepError { step: "add".to_owned(), code: Some(-81), meaning: "there".to_owned() }],
    };
    let read = Some(FullRead { vips: 1, servers: 2 });
    let report = SyncReport {
        vips: vec![report],
        drift: vec!["gone".to_owned()],
        read,
        foreign: keep_of(9),
        conf: None,
    };
    let state = VppState::Connected {
        version: "26.10".to_owned(),
        build_date: "2026-11-21".to_owned(),
        build_directory: "/usr/src".to_owned(),
        pid: 6365,
        boot_time: Some(1_795_228_654),
        connected_for: 5,
    };
    let invalid = InvalidSpec::Weight { server: [10, 0, 0, 1].into(), weight: 101 };
    let answers = [
        Ok(AgentResponse::SyncAll(Ok(report))),
        Ok(AgentResponse::SyncVip(Err(AgentError::Invalid { key: spec(80, &[]).key, error: invalid }))),
        Ok(AgentResponse::LbState(Ok(lb_state()))),
        Ok(AgentResponse::VppInfo(VppInfo { generation: 4, state })),
        Ok(AgentResponse::IcmpEcho(Ok(EchoOutcome::TimedOut))),
        Err(ServerError::new(std::io::ErrorKind::WouldBlock, "throttled".to_owned())),
    ];
    let mut server: ServerCodec<AgentRequest, AgentResponse> = ServerCodec::default();
    for (request_id, message) in (1..).zip(answers) {
        frames.push(serialized(Pin::new(&mut server).serialize(&Response { request_id, message }))?);
    }
    Ok(frames)
}

fn keep_of(last: u8) -> Vec<VipKey> {
    vec![VipKey::all_ports([192, 0, 2, last].into())]
}

fn lb_state() -> LbState {
    let server = ServerState { address: [10, 0, 0, 1].into(), weight: 100, buckets: 1024, flows: 12 };
    let conf = LbConf {
        ip4_src_address: std::net::Ipv4Addr::BROADCAST,
        ip6_src_address: u128::MAX.into(),
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let vip = VipState {
        key: VipKey::port([192, 0, 2, 1].into(), 17, 53),
        index: 1,
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: vec![server],
    };
    LbState { conf, vips: vec![vip], age: Duration::from_millis(250) }
}

fn serialized(frame: std::io::Result<Bytes>) -> Result<Vec<u8>, Failure> {
    Ok(frame?.to_vec())
}

/// Requests of both families, their replies, and errors that quote them. The target fixes checksums itself.
fn icmp_packets() -> Vec<Vec<u8>> {
    const TOKEN: packet::Token = *b"sixteen bytes...";
    let id = packet::EchoId { identifier: 0x1234, sequence: 7 };
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    packet::write_request(&[192, 0, 2, 1].into(), id, &TOKEN, 56, &mut v4);
    packet::write_request(&std::net::Ipv6Addr::LOCALHOST.into(), id, &TOKEN, 56, &mut v6);
    let answer = |kind: u8, request: &[u8]| [&[kind], request.get(1..).unwrap_or_default()].concat();
    let error = |kind: u8, quoted: &[u8]| [&[kind, 1, 0, 0, 0, 0, 0, 0], quoted].concat();
    let ip4 = |body: &[u8]| {
        let header = [0x45, 0, 0, 84, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1];
        [&header, body].concat()
    };
    let ip6 = |next: u8, body: &[u8]| {
        let mut header = [0; 40];
        (header[0], header[6], header[39]) = (0x60, next, 1);
        [&header, body].concat()
    };
    let fragment = [&[58, 0, 0, 1, 0, 0, 0, 1][..], &v6].concat();
    vec![
        ip4(&answer(0, &v4)),
        ip4(&error(3, &ip4(&v4))),
        ip4(&error(11, &ip4(&v4)[..28])),
        answer(129, &v6),
        error(1, &ip6(58, &v6)),
        error(2, &ip6(44, &fragment)),
    ]
}

/// Echo requests of both families with their IP headers, and one that is cut off.
fn tunnel_packets() -> Vec<Vec<u8>> {
    let packet = |source: &str, target: &str, length: usize| {
        let [source, target] = [source, target].map(|text| text.parse().expect("an address"));
        let mut packet = Vec::new();
        tunnel::packet::write_icmp(
            tunnel::packet::Addresses { source, target },
            &vec![8; length],
            &mut packet,
        )
        .expect("a short message");
        packet
    };
    let v4 = packet("10.255.0.1", "198.51.100.1", 64);
    let cut = v4[..40].to_vec();
    vec![v4, cut, packet("fd00:255::1", "2001:db8:1::1", 64)]
}

/// A value of every kind, and keys. The revision's text is deflated.
fn fleet_records() -> Vec<Vec<u8>> {
    const SEEDS: [(u8, &str); 16] = [
        (
            0,
            r#"{"format":1,"number":7,"sha256":"9d20694313ae0b212eea23179cd1c243ddc21641d098c12ce76073eaa79be767","author":"anna","at_ms":1795228654000,"comment":"more servers","text":"y01Mz0kts+JSUEgrys8rSc1LKbZSqK7lAgA="}"#,
        ),
        (
            1,
            r#"{"format":1,"revision":7,"back_to":6,"plan":{"canary":["lb1"],"soak_ms":300000,"order":"halves"},"members":["lb1","lb2"],"stage":{"name":"soaking"},"may":["lb1"],"since_ms":1,"begun_ms":1,"who":null}"#,
        ),
        (
            1,
            r#"{"format":1,"revision":7,"back_to":null,"plan":{},"members":["lb1"],"stage":{"name":"failed","reason":"lb1 went away"},"may":["lb1"],"since_ms":1,"begun_ms":1,"who":"anna","comment":"c"}"#,
        ),
        (
            2,
            r#"{"format":1,"aim":{"backend":"paused"},"who":"anna","why":"RAM swap","since_ms":1,"until_ms":2}"#,
        ),
        (
            2,
            r#"{"format":1,"aim":{"weight":{"weight":30,"flush":true}},"who":null,"since_ms":1,"until_ms":null}"#,
        ),
        (3, r#"{"format":1,"length":4096}"#),
        (4, r#"{"format":1,"name":"lb1","version":"0.2.0","first_seen_ms":1}"#),
        (
            5,
            r#"{"format":1,"running":{"revision":7,"sha256":"9d20694313ae0b212eea23179cd1c243ddc21641d098c12ce76073eaa79be767"},"refused":{"revision":8,"reason":"line 3","begun_ms":2},"intents":9,"local":1,"not_programmed":"VPP is disconnected","vpp":true,"problems":{"downs":1,"sync_errors":0,"drift":0,"withdrawn":0},"announces":true,"routes":"withdrawing","clock_ms":1}"#,
        ),
        (
            6,
            r#"{"format":1,"vips":[{"vip":"192.0.2.1-tcp-80","length":1024,"programmed":"0000000000000001","servers":2,"decided":"ffffffffffffffff"},{"vip":"2001:db8::1-all","length":0,"programmed":"0000000000000000","servers":0,"decided":"0000000000000002"}]}"#,
        ),
        (7, r#"{"format":1,"up":3,"down":{"these":["10.0.0.1","2001:db8::1"]}}"#),
        (7, r#"{"format":1,"up":0,"down":"everything"}"#),
        (8, r#"config/0000000007"#),
        (8, r#"intents/weight/www%2Fa/p/web1:80"#),
        (8, r#"lengths/192.0.2.0%2F24-udp-53"#),
        (8, r#"members/lb1/state"#),
        (5, r#"{"format":2,"of":"a later version"}"#),
    ];
    SEEDS.iter().map(|(kind, text)| [&[*kind], text.as_bytes()].concat()).collect()
}

/// Lines without checksums, which the target adds, preceded by position and kind of some further damage.
fn overrides() -> Vec<Vec<u8>> {
    const FILES: [&str; 5] = [
        "maglev-overrides 1 lines=2\nbackend web1 paused 2026-11-21T13:05:05Z\n\
         weight www primary web1 30 2026-11-21T13:07:41Z",
        "maglev-overrides 1 lines=3\nbackend a disabled 1970-01-01T00:00:00Z\n\
         backend b:80 enabled 9999-12-31T23:59:59Z\nweight www pool-2 web/1@x+y_z.example 0 2026-11-21T13:07:41Z",
        "maglev-overrides 1 lines=0",
        "maglev-overrides 3 of a later form\nbackend web1 asleep 2026-11-21T13:05:05Z",
        "maglev-overrides 2 2fe27a65;\n# edited\nbackend web1 paused 2026-11-21T13:05:05Z\nend",
    ];
    FILES
        .iter()
        .zip([[0, 5, 1], [0, 60, 0x20], [0, 1, 0x80], [0, 0, 1], [0, 40, 4]])
        .map(|(file, damage)| [&damage[..], file.as_bytes()].concat())
        .collect()
}
