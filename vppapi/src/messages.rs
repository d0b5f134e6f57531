//! The messages of VPP's binary API that this crate knows, and their encoding in a frame's body.
//!
//! A body is `u16` message id, then a head, then the message's own fields. The head of a request is `u32
//! client_index, u32 context`, that of a reply or details `u32 context`. The structs here contain only the
//! message's own fields; the functions `encode_*` and `decode_*` add and remove the head, for clients and
//! servers.
//!
//! A message's CRC covers the layout of its fields, so a VPP that lists a name with this CRC uses exactly
//! this layout. The layouts were checked byte for byte against recordings of VPP 26.10 and 26.06.

mod control;
mod envelope;
mod ip;
mod lb;

#[cfg(test)]
mod tests;

pub use control::{
    CliInband, CliInbandReply, ControlPing, ControlPingReply, ShowVersion, ShowVersionReply, SockclntCreate,
    SockclntCreateReply, SockclntDelete, SockclntDeleteReply, TableEntry,
};
pub use envelope::{
    ReplyHead, RequestHead, SOCKCLNT_CREATE_ID, SOCKCLNT_CREATE_REPLY_ID, decode_bare, decode_reply,
    decode_reply_head, decode_request, decode_request_head, encode_bare, encode_reply, encode_request,
    message_id,
};
pub use ip::{FibPath, FibPathNextHop, IpRoute, IpRouteLookupV2, IpRouteLookupV2Reply, MplsLabel};
pub use lb::{
    LbAddDelAs, LbAddDelAsReply, LbAddDelAsV2, LbAddDelAsV2Reply, LbAddDelVipV2, LbAddDelVipV2Reply,
    LbAsDetails, LbAsDump, LbAsSetWeight, LbAsSetWeightReply, LbAsV2Details, LbAsV2Dump, LbConf, LbConfGet,
    LbConfGetReply, LbConfReply, LbFlushVip, LbFlushVipReply, LbVipDetails, LbVipDump, PrefixMatcher,
};

use crate::wire::Wire;

/// A message of VPP's binary API.
pub trait Message: Wire {
    /// The name, such as `lb_conf`.
    const NAME: &'static str;
    /// The CRC of the layout, as eight hexadecimal digits.
    const CRC: &'static str;
    /// Name and CRC as in VPP's message table, such as `lb_conf_56cd3261`.
    const NAME_CRC: &'static str;
}

/// A message that VPP answers with one reply.
pub trait Request: Message {
    /// The reply's type.
    type Reply: Reply;
}

/// A message that VPP answers with any number of details, without an end marker.
pub trait Dump: Message {
    /// The type of the details.
    type Details: Message;
}

/// The answer to a [`Request`].
pub trait Reply: Message {
    /// VPP's return value: 0 for success, else see [`Retval`](crate::retval::Retval).
    fn retval(&self) -> i32;
}

/// Name and CRC of every message of this crate, for a server's message table.
pub fn name_crcs() -> impl Iterator<Item = &'static str> {
    [control::NAME_CRCS, ip::NAME_CRCS, lb::NAME_CRCS].into_iter().flatten().copied()
}
