//! Connecting and disconnecting of clients.

use tracing::{debug, info};
use vppapi::messages::{
    Message, SOCKCLNT_CREATE_REPLY_ID, SockclntCreate, SockclntCreateReply, SockclntDelete,
    SockclntDeleteReply, TableEntry, encode_bare,
};
use vppapi::wire::{Reader, Wire};

use super::trace::{Entry, Fields};
use super::{Call, ClientId, Outcome, SOCKET_CLIENT, Simulator, fixed};

impl Simulator {
    pub(super) fn handshake(&mut self, client: ClientId, body: &[u8], outcome: &mut Outcome) {
        let mut reader = Reader::new(body);
        let create = match u16::decode(&mut reader).and_then(|_| SockclntCreate::decode(&mut reader)) {
            Ok(create) => create,
            Err(error) => {
                debug!(client = client.index(), %error, "dropped a handshake that does not decode");
                return;
            }
        };
        if let Some(name) = self.clients.get_mut(client.slot) {
            *name = create.name.as_str().into_owned();
        }
        info!(client = client.index(), name = %create.name, "client connected");
        let table = self.ids.table().map(|(name, id)| TableEntry { id, name_crc: fixed(name) }).collect();
        let reply = SockclntCreateReply {
            client_index: 0,
            context: create.context,
            response: 0,
            index: client.index(),
            table,
        };
        outcome.answers.push(encode_bare(SOCKCLNT_CREATE_REPLY_ID, &reply));
        if self.tracing {
            outcome.trace.push(Entry::received(SockclntCreate::NAME, create.context, create.fields()));
            outcome.trace.push(Entry::sent(SockclntCreateReply::NAME, create.context, Some(reply.response)));
        }
    }

    /// VPP would also let a client end another's connection; here it can end only its own.
    pub(super) fn sockclnt_delete(
        &mut self,
        call: &Call<'_>,
        message: &SockclntDelete,
        outcome: &mut Outcome,
    ) -> Option<SockclntDeleteReply> {
        outcome.close = (message.index | SOCKET_CLIENT) == call.client.index();
        Some(SockclntDeleteReply { response: if outcome.close { 1 } else { -1 } })
    }
}
