//! Mapping to the messages of VPP 26.10 (lb API 1.2.0). Only this module knows which message a step becomes,
//! which messages VPP must have, and what the dumps mean.

use std::time::Duration;

use maglev_protocol::{AgentError, Encap, LbConf, Prefix, VipKey};
use tokio::time::Instant;
use vppapi::client::{Client, ClientError, PreparedRequest};
use vppapi::messages::{
    CliInband, CliInbandReply, ControlPing, ControlPingReply, IpRouteLookupV2, IpRouteLookupV2Reply,
    LbAddDelAsV2, LbAddDelAsV2Reply, LbAddDelVipV2, LbAddDelVipV2Reply, LbAsSetWeight, LbAsSetWeightReply,
    LbAsV2Details, LbAsV2Dump, LbConf as SetConf, LbConfGet, LbConfGetReply, LbConfReply, LbFlushVip,
    LbFlushVipReply, LbVipDetails, LbVipDump, Message, Request, ShowVersion, ShowVersionReply,
};
use vppapi::retval::Retval;
use vppapi::types::{self, VipId};
use vppapi::wire::ByteString;

use crate::apply::{Answer, Lost, Plugin};
use crate::cli_text::{self, Text};
use crate::execute::{Failed, Settings};
use crate::last_answer::LastAnswer;
use crate::read::{Dumps, ServerRow, VipRow};
use crate::step::{Step, Write};

/// The oldest version that has all of [`NEEDED`], for error messages.
pub const NEEDS: &str = "VPP 26.10 (lb API 1.2.0) or newer, with its lb plugin loaded";

/// Every message that the agent sends or expects.
pub const NEEDED: &[&str] = &[
    ControlPing::NAME_CRC,
    ControlPingReply::NAME_CRC,
    ShowVersion::NAME_CRC,
    ShowVersionReply::NAME_CRC,
    CliInband::NAME_CRC,
    CliInbandReply::NAME_CRC,
    SetConf::NAME_CRC,
    LbConfReply::NAME_CRC,
    LbConfGet::NAME_CRC,
    LbConfGetReply::NAME_CRC,
    LbAddDelVipV2::NAME_CRC,
    LbAddDelVipV2Reply::NAME_CRC,
    LbAddDelAsV2::NAME_CRC,
    LbAddDelAsV2Reply::NAME_CRC,
    LbAsSetWeight::NAME_CRC,
    LbAsSetWeightReply::NAME_CRC,
    LbFlushVip::NAME_CRC,
    LbFlushVipReply::NAME_CRC,
    IpRouteLookupV2::NAME_CRC,
    IpRouteLookupV2Reply::NAME_CRC,
    LbVipDump::NAME_CRC,
    LbVipDetails::NAME_CRC,
    LbAsV2Dump::NAME_CRC,
    LbAsV2Details::NAME_CRC,
];

/// The lb plugin of a VPP that has all of [`NEEDED`].
#[derive(Debug, Clone)]
pub struct Lb {
    client: Client,
    last_answer: LastAnswer,
}

impl Lb {
    /// Uses this connection, and records VPP's answers in `last_answer`.
    pub fn new(client: Client, last_answer: LastAnswer) -> Self {
        Self { client, last_answer }
    }

    async fn call<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        self.last_answer.note(self.client.call(request).await)
    }
}

impl Settings for Lb {
    async fn conf(&self) -> Result<LbConf, Failed> {
        let conf = self.call(LbConfGet {}).await.map_err(failed)?;
        Ok(LbConf {
            ip4_src_address: conf.ip4_src_address,
            ip6_src_address: conf.ip6_src_address,
            sticky_buckets_per_core: conf.sticky_buckets_per_core,
            flow_timeout: conf.flow_timeout,
        })
    }

    async fn set_conf(&self, conf: LbConf) -> Result<(), Failed> {
        let request = SetConf {
            ip4_src_address: conf.ip4_src_address,
            ip6_src_address: conf.ip6_src_address,
            sticky_buckets_per_core: conf.sticky_buckets_per_core,
            flow_timeout: conf.flow_timeout,
        };
        self.call(request).await.map(drop).map_err(failed)
    }
}

impl Plugin for Lb {
    async fn write(&self, writes: &[Write]) -> Vec<Answer> {
        let answers = self.client.pipeline(writes.iter().map(message).collect()).await;
        self.last_answer.note_all(&answers);
        answers.into_iter().map(answer).collect()
    }

    async fn prove_alive(&self) -> Result<Duration, Lost> {
        let asked = Instant::now();
        self.last_answer.note(self.client.ping().await).map_err(lost)?;
        Ok(asked.elapsed())
    }

    async fn dumps(&self) -> Result<Dumps, Lost> {
        // Both dumps at once: VPP works on the second while the first is processed.
        let vips = self.client.dump_map(LbVipDump::default(), |vip| vip_row(&vip));
        // VPP 26.10 returns nothing when asked for one IPv4 VIP, so all servers are read.
        let servers = self.client.dump_map(LbAsV2Dump::default(), |server| server_row(&server));
        let (vips, servers) = self.last_answer.note(tokio::try_join!(vips, servers)).map_err(lost)?;
        let mut dumps = Dumps { servers, ..Dumps::default() };
        for vip in vips {
            match vip {
                Ok(row) => dumps.vips.push(row),
                Err(strange) => dumps.strange.push(strange),
            }
        }
        Ok(dumps)
    }

    async fn text(&self) -> Result<Text, Lost> {
        let request = CliInband { cmd: ByteString::from(cli_text::COMMAND) };
        let reply = self.call(request).await.map_err(lost)?;
        Ok(cli_text::parse(&reply.reply.as_str()))
    }

    async fn routes(&self, prefixes: &[Prefix]) -> Result<Vec<Option<u32>>, Lost> {
        let lookup = |prefix: &Prefix| {
            let prefix = types::Prefix { address: prefix.address, length: prefix.length };
            // Without `exact`, VPP returns the default route if there is no other (measured on VPP 26.10).
            IpRouteLookupV2 { table_id: 0, exact: 1, prefix }
        };
        let answers = self.client.call_all(&prefixes.iter().map(lookup).collect::<Vec<_>>()).await;
        self.last_answer.note_all(&answers);
        let found = answers.into_iter().map(|answer| match answer {
            Ok(reply) => Ok(Some(reply.route.stats_index)),
            Err(ClientError::Refused { .. }) => Ok(None),
            Err(error) => Err(lost(error)),
        });
        found.collect()
    }
}

fn message(write: &Write) -> PreparedRequest {
    let vip = vip_id(&write.vip);
    match write.step {
        Step::AddVip { encap, src_ip_sticky, table_length } => {
            PreparedRequest::new(&LbAddDelVipV2 { src_ip_sticky, ..vip_message(vip, encap, table_length) })
        }
        // VPP uses only the VIP's key, but a table length of 0 is never sent.
        Step::RemoveVip { .. } => {
            PreparedRequest::new(&LbAddDelVipV2 { is_del: true, ..vip_message(vip, Encap::Gre4, 1024) })
        }
        Step::AddServer { server, weight, flush } => PreparedRequest::new(&LbAddDelAsV2 {
            vip,
            as_address: server,
            weight,
            is_del: false,
            is_flush: flush,
        }),
        Step::RemoveServer { server, .. } => PreparedRequest::new(&LbAddDelAsV2 {
            vip,
            as_address: server,
            weight: 0,
            is_del: true,
            is_flush: true,
        }),
        Step::Reweight { server, to, flush, .. } => {
            PreparedRequest::new(&LbAsSetWeight { vip, as_address: server, weight: to, is_flush: flush })
        }
        // There is no message that only flushes one server, so its weight is sent again.
        Step::Flush { server, weight } => {
            PreparedRequest::new(&LbAsSetWeight { vip, as_address: server, weight, is_flush: true })
        }
        Step::FlushVip => PreparedRequest::new(&LbFlushVip { vip }),
    }
}

fn vip_message(vip: VipId, encap: Encap, new_flows_table_length: u32) -> LbAddDelVipV2 {
    let encap = match encap {
        Encap::Gre4 => types::Encap::Gre4,
        Encap::Gre6 => types::Encap::Gre6,
        Encap::L3dsr => types::Encap::L3dsr,
        Encap::Nat4 => types::Encap::Nat4,
        Encap::Nat6 => types::Encap::Nat6,
    };
    LbAddDelVipV2::gre(vip, encap, new_flows_table_length)
}

fn vip_id(key: &VipKey) -> VipId {
    let prefix = types::Prefix { address: key.prefix.address, length: key.prefix.length };
    VipId { prefix, protocol: key.protocol, port: key.port }
}

fn vip_key(vip: &VipId) -> VipKey {
    let prefix = Prefix { address: vip.prefix.address, length: vip.prefix.length };
    VipKey { prefix, protocol: vip.protocol, port: vip.port }
}

/// Converts the details of a VIP.
///
/// # Errors
/// When its encapsulation is unknown: the VIP's key, and a description.
pub fn vip_row(details: &LbVipDetails) -> Result<VipRow, (VipKey, String)> {
    let encap = match details.encap {
        types::Encap::Gre4 => Encap::Gre4,
        types::Encap::Gre6 => Encap::Gre6,
        types::Encap::L3dsr => Encap::L3dsr,
        types::Encap::Nat4 => Encap::Nat4,
        types::Encap::Nat6 => Encap::Nat6,
        types::Encap::Other(value) => {
            return Err((vip_key(&details.vip), format!("it has encapsulation {value}: expected 0 to 4")));
        }
    };
    // VPP truncates the length to 16 bits, so 65536 is reported as 0.
    let table_length = match details.flow_table_length {
        0 => 1 << 16,
        length => length.into(),
    };
    Ok(VipRow { key: vip_key(&details.vip), encap, table_length })
}

/// Converts the details of a server.
pub fn server_row(details: &LbAsV2Details) -> ServerRow {
    ServerRow {
        vip: vip_key(&details.vip),
        address: details.as_address,
        used: details.is_used(),
        weight: details.weight,
        buckets: details.num_buckets,
    }
}

fn answer(result: Result<(), ClientError>) -> Answer {
    match result {
        Ok(()) => Answer::Accepted,
        Err(ClientError::Refused { retval, .. }) => Answer::Refused {
            code: retval.0,
            meaning: retval.to_string(),
            about_state: matches!(
                retval,
                Retval::NO_SUCH_ENTRY | Retval::VALUE_EXIST | Retval::INVALID_ARGUMENT
            ),
        },
        Err(other) => Answer::Lost(lost(other)),
    }
}

fn failed(error: ClientError) -> Failed {
    match error {
        ClientError::Refused { message, retval } => Failed::Refused(AgentError::Refused {
            step: message.to_owned(),
            code: retval.0,
            meaning: retval.to_string(),
        }),
        other => Failed::Lost(lost(other)),
    }
}

/// Any failed request ends the connection: either VPP's state is unknown, or VPP speaks another protocol than
/// expected.
fn lost(error: ClientError) -> Lost {
    Lost { reason: error.to_string() }
}

#[cfg(test)]
mod tests;
