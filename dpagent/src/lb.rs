//! The lb plugin over a connection to VPP. What to send and what the answers mean is decided by its
//! [dialect].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maglev_protocol::{AgentError, Dialect, LbConf, Prefix};
use tokio::time::Instant;
use vppapi::client::{Client, ClientError};
use vppapi::messages::{
    CliInband, IpRouteLookupV2, LbAsV2Dump, LbConf as SetConf, LbConfGet, LbVipDump, Request,
};
use vppapi::retval::Retval;
use vppapi::types;
use vppapi::wire::ByteString;

use crate::apply::{Answer, Lost, Plugin};
use crate::cli_text::{self, Text};
use crate::dialect;
use crate::dialect::in_out::{self, Sent, Summary};
use crate::dialect::weighted::{server_row, vip_row};
use crate::execute::{Failed, Settings};
use crate::last_answer::LastAnswer;
use crate::read::Dumps;
use crate::step::Write;

/// The lb plugin of a VPP that can be programmed.
#[derive(Debug, Clone)]
pub struct Lb {
    client: Client,
    dialect: Dialect,
    last_answer: LastAnswer,
    /// The settings sent over this connection, for a VPP that does not tell them all.
    sent: Arc<Mutex<Option<Sent>>>,
}

impl Lb {
    /// Uses this connection, and records VPP's answers in `last_answer`.
    pub fn new(client: Client, dialect: Dialect, last_answer: LastAnswer) -> Self {
        Self { client, dialect, last_answer, sent: Arc::default() }
    }

    async fn call<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        self.last_answer.note(self.client.call(request).await)
    }

    async fn command(&self, command: &str) -> Result<String, ClientError> {
        let reply = self.call(CliInband { cmd: ByteString::from(command) }).await?;
        Ok(reply.reply.as_str().into_owned())
    }

    async fn summary(&self) -> Result<Summary, Lost> {
        let text = self.command(in_out::SUMMARY).await.map_err(lost)?;
        let unread =
            || Lost { reason: format!("VPP's answer to `{}` has an unknown format", in_out::SUMMARY) };
        Summary::parse(&text).ok_or_else(unread)
    }
}

impl Settings for Lb {
    async fn conf(&self) -> Result<LbConf, Failed> {
        if self.dialect == Dialect::InOut {
            let summary = self.summary().await?;
            let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(summary.conf(sent.as_ref()));
        }
        let conf = self.call(LbConfGet {}).await.map_err(failed)?;
        Ok(LbConf {
            ip4_src_address: conf.ip4_src_address,
            ip6_src_address: conf.ip6_src_address,
            sticky_buckets_per_core: conf.sticky_buckets_per_core,
            flow_timeout: conf.flow_timeout,
        })
    }

    async fn set_conf(&self, conf: LbConf) -> Result<(), Failed> {
        let before = match self.dialect {
            Dialect::Weighted => None,
            Dialect::InOut => Some(self.summary().await?),
        };
        let request = SetConf {
            ip4_src_address: conf.ip4_src_address,
            ip6_src_address: conf.ip6_src_address,
            sticky_buckets_per_core: conf.sticky_buckets_per_core,
            flow_timeout: conf.flow_timeout,
        };
        self.call(request).await.map_err(failed)?;
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = before.map(|before| before.sending(conf));
        Ok(())
    }
}

impl Plugin for Lb {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    async fn write(&self, writes: &[Write]) -> Vec<Answer> {
        let requests: Vec<_> = writes.iter().map(|write| dialect::request(self.dialect, write)).collect();
        let is_sent: Vec<_> = requests.iter().map(Option::is_some).collect();
        let answers = self.client.pipeline(requests.into_iter().flatten().collect()).await;
        self.last_answer.note_all(&answers);
        let mut answers = answers.into_iter();
        let mut next = |write: &Write| match answers.next() {
            Some(Ok(())) => Answer::Accepted,
            Some(Err(ClientError::Refused { retval, .. })) => dialect::answer(self.dialect, write, retval),
            Some(Err(other)) => Answer::Lost(lost(other)),
            None => Answer::Lost(Lost { reason: "VPP was not asked".to_owned() }),
        };
        let answered = |(write, is_sent)| if is_sent { next(write) } else { Answer::Unneeded };
        writes.iter().zip(is_sent).map(answered).collect()
    }

    async fn prove_alive(&self) -> Result<Duration, Lost> {
        let asked = Instant::now();
        self.last_answer.note(self.client.ping().await).map_err(lost)?;
        Ok(asked.elapsed())
    }

    async fn size(&self) -> Result<(usize, usize), Lost> {
        Ok(self.summary().await?.size)
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
        Ok(cli_text::parse(&self.command(cli_text::COMMAND).await.map_err(lost)?))
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

fn failed(error: ClientError) -> Failed {
    match error {
        ClientError::Refused { message, retval: Retval(code) } => Failed::Refused(AgentError::Refused {
            step: message.to_owned(),
            code,
            meaning: Retval(code).to_string(),
        }),
        other => Failed::Lost(lost(other)),
    }
}

/// Any failed request ends the connection: either VPP's state is unknown, or VPP speaks another protocol than
/// expected.
fn lost(error: ClientError) -> Lost {
    Lost { reason: error.to_string() }
}
