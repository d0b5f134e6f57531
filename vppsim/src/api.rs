//! VPP's binary API on top of the model: a request's body in, the bodies of its answers out. No I/O, no
//! clock.
//!
//! As measured on VPP 26.10: a request with a client index other than its connection's is carried out but not
//! answered; an unknown or too short message is dropped without an answer; bytes after a message are ignored.

mod control;
mod decode;
mod handshake;
mod ids;
mod in_out;
mod lb;
mod messages;
mod route;
mod subject;
pub mod trace;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use tracing::{debug, warn};
use vppapi::messages::{
    CliInband, ControlPing, Dump, IpRouteLookupV2, LbAddDelAs, LbAddDelAsV2, LbAddDelVipV2, LbAsDump,
    LbAsSetWeight, LbAsV2Dump, LbConf, LbConfGet, LbFlushVip, LbVipDump, Message, Reply, Request,
    SOCKCLNT_CREATE_ID, ShowVersion, SockclntDelete, encode_reply, message_id,
};
use vppapi::wire::FixedString;

use self::messages::{ApiVersions, GetApiJson};
use self::trace::{Entry, Fields};
use crate::lb::{Effect, Lb, Uptime};
use crate::pool::Pool;

pub(crate) use ids::LB_APIS;
pub use ids::{LbApi, LbApiError, MessageIds, MessageIdsError, request_names};

/// Bit that VPP sets in the index of every client of its socket.
const SOCKET_CLIENT: u32 = 1 << 31;

/// Identity of the simulated VPP.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// At most 31 bytes; longer ones are truncated.
    pub version: String,
    /// At most 31 bytes; longer ones are truncated.
    pub build_date: String,
    /// At most 255 bytes; longer ones are truncated.
    pub build_directory: String,
}

impl Identity {
    /// What `show version` prints.
    pub fn version_line(&self) -> String {
        format!("vpp v{} built by vppsim on {} at {}", self.version, self.build_directory, self.build_date)
    }
}

/// A connection, named by VPP's index of it without its top bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId {
    slot: u32,
    /// Number of VPP's restarts before it connected. A later VPP does not know it.
    life: u64,
}

impl ClientId {
    /// The index that the client has to put into its requests.
    pub fn index(self) -> u32 {
        self.slot | SOCKET_CLIENT
    }
}

/// Effects of one request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Bodies to send to the client, in order.
    pub answers: Vec<Bytes>,
    /// The request and its answers, if they are traced.
    pub trace: Vec<Entry>,
    /// Whether to close the connection once the answers are sent.
    pub close: bool,
    /// Why a real VPP would have died, if so.
    pub deadly: Option<String>,
}

/// A simulated VPP behind its API socket.
#[derive(Debug)]
pub struct Simulator {
    lb: Lb,
    identity: Identity,
    ids: MessageIds,
    clients: Pool<String>,
    /// How often it was restarted.
    life: u64,
    tracing: bool,
}

/// A decoded request in progress.
struct Call<'a> {
    client: ClientId,
    name: &'static str,
    body: &'a [u8],
    now: Uptime,
    /// The return value to answer with instead of carrying it out.
    refusal: Option<i32>,
}

impl Simulator {
    /// A VPP that was just started.
    pub fn new(identity: Identity, ids: MessageIds) -> Self {
        let mut lb = Lb::default();
        lb.set_weights(ids.lb_api().has_weights());
        // VPP's own listening socket has index 0.
        Self { lb, identity, ids, clients: Pool::starting_at(1), life: 0, tracing: false }
    }

    /// Restarts VPP: with the next pid, without clients and configuration. With another message table it is, and
    /// reports, another release.
    pub fn restart(&mut self, ids: Option<MessageIds>) {
        self.life += 1;
        self.identity.pid = self.identity.pid.wrapping_add(1);
        self.clients = Pool::starting_at(1);
        self.lb.restart();
        if let Some(ids) = ids {
            if let Some(rest) = self.identity.version.strip_prefix(self.ids.lb_api().release()) {
                self.identity.version = format!("{}{rest}", ids.lb_api().release());
            }
            self.lb.set_weights(ids.lb_api().has_weights());
            self.ids = ids;
        }
    }

    /// What it says that it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its message table.
    pub fn ids(&self) -> &MessageIds {
        &self.ids
    }

    /// Whether outcomes include a trace.
    pub fn set_tracing(&mut self, tracing: bool) {
        self.tracing = tracing;
    }

    /// The plugin.
    pub fn lb(&self) -> &Lb {
        &self.lb
    }

    /// The plugin, for packets and the passing of time.
    pub fn lb_mut(&mut self) -> &mut Lb {
        &mut self.lb
    }

    /// What the data path has to do since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.lb.take_effects()
    }

    /// A client has connected.
    pub fn connect(&mut self) -> ClientId {
        ClientId { slot: self.clients.insert(String::new()), life: self.life }
    }

    /// A client's connection is gone.
    pub fn disconnect(&mut self, client: ClientId) {
        if client.life == self.life {
            self.clients.remove(client.slot);
        }
    }

    /// The name that a client gave itself; empty until it has.
    pub fn client_name(&self, client: ClientId) -> &str {
        self.clients.get(client.slot).filter(|_| client.life == self.life).map_or("", String::as_str)
    }

    /// Carries out one request.
    pub fn handle(&mut self, client: ClientId, body: &[u8], now: Uptime) -> Outcome {
        self.answer_request(client, body, now, None)
    }

    /// Answers a request with this return value instead of carrying it out. A message without a return value
    /// (a dump, the handshake) is carried out.
    pub fn refuse(&mut self, client: ClientId, body: &[u8], retval: i32, now: Uptime) -> Outcome {
        self.answer_request(client, body, now, Some(retval))
    }

    fn answer_request(
        &mut self,
        client: ClientId,
        body: &[u8],
        now: Uptime,
        refusal: Option<i32>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if client.life != self.life {
            outcome.close = true;
            return outcome;
        }
        let Some(id) = message_id(body) else {
            debug!(
                client = client.index(),
                bytes = body.len(),
                "dropped a frame that is too short for a message id"
            );
            return outcome;
        };
        if id == SOCKCLNT_CREATE_ID {
            self.handshake(client, body, &mut outcome);
            return outcome;
        }
        let Some(name) = self.ids.name_crc(id) else {
            debug!(client = client.index(), id, "dropped a message with an unknown id");
            return outcome;
        };
        let call = Call { client, name, body, now, refusal };
        if let Err(error) = self.dispatch(&call, &mut outcome) {
            debug!(client = client.index(), message = name, %error, "dropped a message that does not decode");
        }
        outcome
    }

    fn dispatch(&mut self, call: &Call<'_>, outcome: &mut Outcome) -> Result<(), vppapi::wire::DecodeError> {
        let old = !self.ids.lb_api().has_weights();
        match call.name {
            ControlPing::NAME_CRC => self.request(call, outcome, Self::control_ping),
            ShowVersion::NAME_CRC => self.request(call, outcome, Self::show_version),
            CliInband::NAME_CRC => self.request(call, outcome, Self::cli_inband),
            ApiVersions::NAME_CRC => self.request(call, outcome, Self::api_versions),
            GetApiJson::NAME_CRC => self.request(call, outcome, Self::get_api_json),
            SockclntDelete::NAME_CRC => self.request(call, outcome, Self::sockclnt_delete),
            IpRouteLookupV2::NAME_CRC => self.request(call, outcome, Self::ip_route_lookup),
            LbConf::NAME_CRC => self.request(call, outcome, Self::lb_conf),
            LbConfGet::NAME_CRC => self.request(call, outcome, Self::lb_conf_get),
            LbAddDelVipV2::NAME_CRC if old => self.request(call, outcome, Self::lb_add_del_vip_1_1),
            LbAddDelAs::NAME_CRC if old => self.request(call, outcome, Self::lb_add_del_as_1_1),
            LbFlushVip::NAME_CRC if old => self.request(call, outcome, Self::lb_flush_vip_1_1),
            LbVipDump::NAME_CRC if old => self.dump(call, outcome, Self::lb_vip_dump_1_1),
            LbAsDump::NAME_CRC if old => self.dump(call, outcome, Self::lb_as_dump_1_1),
            LbAddDelVipV2::NAME_CRC => self.request(call, outcome, Self::lb_add_del_vip),
            LbAddDelAsV2::NAME_CRC => self.request(call, outcome, Self::lb_add_del_as),
            LbAsSetWeight::NAME_CRC => self.request(call, outcome, Self::lb_as_set_weight),
            LbFlushVip::NAME_CRC => self.request(call, outcome, Self::lb_flush_vip),
            LbVipDump::NAME_CRC => self.dump(call, outcome, Self::lb_vip_dump),
            LbAsV2Dump::NAME_CRC => self.dump(call, outcome, Self::lb_as_dump),
            // VPP does the same: it ignores replies, and never answers memclnt_keepalive on a socket.
            _ => {
                debug!(
                    client = call.client.index(),
                    message = call.name,
                    "dropped a message that has no answer"
                );
                Ok(())
            }
        }
    }

    /// Answers a request with one reply, or with none if VPP would die of it.
    fn request<R: Request + Fields>(
        &mut self,
        call: &Call<'_>,
        outcome: &mut Outcome,
        carry_out: impl FnOnce(&mut Self, &Call<'_>, &R, &mut Outcome) -> Option<R::Reply>,
    ) -> Result<(), vppapi::wire::DecodeError> {
        let (head, message) = decode::request::<R>(call.body)?;
        self.note_request(outcome, R::NAME, head.context, &message);
        if let Some(retval) = call.refusal {
            let reply = decode::failed::<R::Reply>(retval)?;
            if self.is_own(call, head.client_index) {
                self.answer(outcome, head.context, Some(retval), &reply);
            }
            return Ok(());
        }
        let Some(reply) = carry_out(self, call, &message, outcome) else { return Ok(()) };
        if self.is_own(call, head.client_index) {
            let retval = Some(reply.retval());
            self.answer(outcome, head.context, retval, &reply);
        }
        Ok(())
    }

    /// Answers a dump with its details.
    fn dump<D: Dump + Fields>(
        &mut self,
        call: &Call<'_>,
        outcome: &mut Outcome,
        list: impl FnOnce(&Self, &D) -> Vec<D::Details>,
    ) -> Result<(), vppapi::wire::DecodeError> {
        let (head, message) = decode::request::<D>(call.body)?;
        self.note_request(outcome, D::NAME, head.context, &message);
        if self.is_own(call, head.client_index) {
            for details in list(self, &message) {
                self.answer(outcome, head.context, None, &details);
            }
        }
        Ok(())
    }

    fn answer<M: Message>(&self, outcome: &mut Outcome, context: u32, retval: Option<i32>, message: &M) {
        let Some(id) = self.ids.id(M::NAME_CRC) else {
            warn!(message = M::NAME_CRC, "an answer without an id in the message table was not sent");
            return;
        };
        outcome.answers.push(encode_reply(id, context, message));
        if self.tracing {
            outcome.trace.push(Entry::sent(M::NAME, context, retval));
        }
    }

    fn note_request(&self, outcome: &mut Outcome, name: &'static str, context: u32, message: &impl Fields) {
        if self.tracing {
            outcome.trace.push(Entry::received(name, context, message.fields()));
        }
    }

    fn is_own(&self, call: &Call<'_>, given: u32) -> bool {
        let expected = call.client.index();
        if given != expected {
            debug!(
                message = call.name,
                given, expected, "a request with a wrong client index gets no answer"
            );
        }
        given == expected
    }
}

/// A string cut so that it fits its field.
fn fixed<const N: usize>(text: &str) -> FixedString<N> {
    let most = N.saturating_sub(1);
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    FixedString::new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}
