//! The baseline: the same messages, encoded beforehand, over a bare socket; only return values are checked.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use maglev_protocol::{VipKey, VipSpec};
use tokio::time::Instant;
use tokio_util::codec::{Decoder, Encoder};
use vppapi::frame::FrameCodec;
use vppapi::messages::{
    ControlPing, LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight, LbAsV2Dump, LbVipDetails, LbVipDump, Message,
    SOCKCLNT_CREATE_ID, SockclntCreate, SockclntCreateReply, decode_bare, encode_bare, encode_request,
    message_id,
};
use vppapi::table::{Lookup, MessageTable};
use vppapi::types::{self, VipId};
use vppapi::wire::FixedString;

/// A connection to VPP.
pub(crate) struct Bare {
    stream: UnixStream,
    received: BytesMut,
    table: MessageTable,
    client_index: u32,
}

impl Bare {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let empty = MessageTable::from(&SockclntCreateReply {
            client_index: 0,
            context: 0,
            response: 0,
            index: 0,
            table: Vec::new(),
        });
        let mut bare = Self { stream, received: BytesMut::new(), table: empty, client_index: 0 };
        let name = FixedString::new("bench").unwrap();
        let create = frame(encode_bare(SOCKCLNT_CREATE_ID, &SockclntCreate { context: 0, name }));
        bare.stream.write_all(&create).unwrap();
        let reply: SockclntCreateReply = decode_bare(&bare.frame()).unwrap();
        (bare.table, bare.client_index) = (MessageTable::from(&reply), reply.index);
        bare
    }

    /// Number of VIPs.
    pub(crate) fn vips(&mut self) -> usize {
        let details = self.id(LbVipDetails::NAME_CRC);
        let bodies = self.dump(&[self.request(&LbVipDump::default())]);
        bodies.iter().filter(|body| message_id(body) == Some(details)).count()
    }

    /// Adds all VIPs with their servers, in one burst.
    pub(crate) fn program(&mut self, specs: &[VipSpec]) -> Duration {
        let mut requests = Vec::new();
        for spec in specs {
            let (vip, length) = (id(&spec.key), spec.new_flows_table_length);
            requests.push(self.request(&LbAddDelVipV2::gre(vip, types::Encap::Gre4, length)));
            for (server, spec) in &spec.servers {
                requests.push(self.request(&LbAddDelAsV2 {
                    vip,
                    as_address: *server,
                    weight: spec.weight,
                    is_del: false,
                    is_flush: false,
                }));
            }
        }
        self.burst(requests)
    }

    /// Removes all VIPs, servers first.
    pub(crate) fn remove(&mut self, specs: &[VipSpec]) {
        let mut requests = Vec::new();
        for spec in specs {
            let vip = id(&spec.key);
            requests.extend(spec.servers.keys().map(|server| {
                let as_address = *server;
                self.request(&LbAddDelAsV2 { vip, as_address, weight: 0, is_del: true, is_flush: true })
            }));
            let gone = LbAddDelVipV2 { is_del: true, ..LbAddDelVipV2::gre(vip, types::Encap::Gre4, 1024) };
            requests.push(self.request(&gone));
        }
        self.burst(requests);
    }

    /// Both dumps.
    pub(crate) fn dumps(&mut self) -> Duration {
        let requests = [self.request(&LbVipDump::default()), self.request(&LbAsV2Dump::default())];
        let start = Instant::now();
        self.dump(&requests);
        start.elapsed()
    }

    /// Sets one weight, with one message.
    pub(crate) fn reweight(&mut self, vip: &VipKey, server: IpAddr, weight: u8) -> Duration {
        self.reweight_all(std::slice::from_ref(vip), server, weight)
    }

    /// The same for several VIPs, in one burst.
    pub(crate) fn reweight_all(&mut self, vips: &[VipKey], as_address: IpAddr, weight: u8) -> Duration {
        let request = |vip| LbAsSetWeight { vip: id(vip), as_address, weight, is_flush: false };
        self.burst(vips.iter().map(|vip| self.request(&request(vip))).collect())
    }

    fn burst(&mut self, requests: Vec<Bytes>) -> Duration {
        let (bytes, count) = (requests.concat(), requests.len());
        let mut writer = self.stream.try_clone().unwrap();
        let start = Instant::now();
        std::thread::scope(|scope| {
            match count {
                // Starting a thread would cost more than the call.
                1 => writer.write_all(&bytes).unwrap(),
                _ => drop(scope.spawn(move || writer.write_all(&bytes).unwrap())),
            }
            for _ in 0..count {
                let reply = self.frame();
                assert_eq!(reply[6..10], [0; 4], "VPP refused a request");
            }
        });
        start.elapsed()
    }

    /// All bodies up to the reply to the ping after the last dump.
    fn dump(&mut self, requests: &[Bytes]) -> Vec<Bytes> {
        let end = self.id("control_ping_reply_f6b0b8ca");
        let mut bytes = requests.concat();
        bytes.extend_from_slice(&self.request(&ControlPing {}));
        self.stream.write_all(&bytes).unwrap();
        let mut bodies = Vec::new();
        loop {
            let body = self.frame();
            if message_id(&body) == Some(end) {
                return bodies;
            }
            bodies.push(body);
        }
    }

    fn frame(&mut self) -> Bytes {
        let mut codec = FrameCodec::default();
        let mut chunk = [0; 65_536];
        loop {
            if let Some(body) = codec.decode(&mut self.received).unwrap() {
                return body;
            }
            let read = self.stream.read(&mut chunk).unwrap();
            assert_ne!(read, 0, "VPP has closed the connection");
            self.received.extend_from_slice(&chunk[..read]);
        }
    }

    fn request<M: Message>(&self, message: &M) -> Bytes {
        frame(encode_request(self.id(M::NAME_CRC), self.client_index, 1, message))
    }

    fn id(&self, name_crc: &str) -> u16 {
        match self.table.find(name_crc) {
            Lookup::Found(id) => id,
            _ => panic!("VPP has no {name_crc}"),
        }
    }
}

fn id(key: &VipKey) -> VipId {
    let prefix = types::Prefix { address: key.prefix.address, length: key.prefix.length };
    VipId { prefix, protocol: key.protocol, port: key.port }
}

fn frame(body: Bytes) -> Bytes {
    let mut stream = BytesMut::new();
    FrameCodec::default().encode(body, &mut stream).unwrap();
    stream.freeze()
}
