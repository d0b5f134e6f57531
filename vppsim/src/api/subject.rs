//! The fields of a request that faults can be filtered by.

use vppapi::messages::{
    LbAddDelAs, LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight, LbAsV2Dump, LbFlushVip, Message,
    SOCKCLNT_CREATE_ID, SockclntCreate, message_id,
};
use vppapi::types::VipId;

use super::ids::without_crc;
use super::{ClientId, Simulator, decode};
use crate::faults::Subject;

impl Simulator {
    /// The fields of a request that faults can be filtered by.
    pub fn subject(&self, client: ClientId, body: &[u8]) -> Subject<'_> {
        let name_crc = match message_id(body) {
            Some(SOCKCLNT_CREATE_ID) => Some(SockclntCreate::NAME_CRC),
            id => id.and_then(|id| self.ids.name_crc(id)),
        };
        let message = name_crc.map(without_crc);
        let vip = |vip: VipId| (Some(vip), None);
        let (vip, server) = match name_crc {
            Some(LbAddDelVipV2::NAME_CRC) => of(body, |request: LbAddDelVipV2| vip(request.vip)),
            Some(LbAddDelAs::NAME_CRC) => {
                of(body, |request: LbAddDelAs| (Some(request.vip), Some(request.as_address)))
            }
            Some(LbAddDelAsV2::NAME_CRC) => {
                of(body, |request: LbAddDelAsV2| (Some(request.vip), Some(request.as_address)))
            }
            Some(LbAsSetWeight::NAME_CRC) => {
                of(body, |request: LbAsSetWeight| (Some(request.vip), Some(request.as_address)))
            }
            Some(LbFlushVip::NAME_CRC) => of(body, |request: LbFlushVip| vip(request.vip)),
            Some(LbAsV2Dump::NAME_CRC) => of(body, |request: LbAsV2Dump| vip(request.vip)),
            _ => (None, None),
        };
        let port = vip.map(|vip| vip.port);
        let vip = vip.map(|vip| vip.prefix.address);
        Subject { message, client: self.client_name(client), vip, port, server }
    }
}

/// Nothing, of a request that does not decode.
fn of<M: Message, T>(
    body: &[u8],
    look: impl FnOnce(M) -> (Option<VipId>, Option<T>),
) -> (Option<VipId>, Option<T>) {
    decode::request::<M>(body).map_or((None, None), |(_, request)| look(request))
}
