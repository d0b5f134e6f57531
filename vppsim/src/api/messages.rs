//! Messages that only VPP's own clients use, and the description of all messages for them.

use vppapi::messages::{Message, Reply, Request};
use vppapi::wire::{ByteString, DecodeError, Reader, Wire, Writer};

/// The layouts of the messages known here, in the form in which VPP describes its own.
pub(super) const API_JSON: &str = include_str!("messages.json");

/// Asks for the versions of VPP's API files.
#[derive(Debug)]
pub(super) struct ApiVersions;

/// Answers [`ApiVersions`]. VPP 26.10 lists none.
#[derive(Debug)]
pub(super) struct ApiVersionsReply {
    pub(super) retval: i32,
}

/// Asks for the layouts of all messages.
#[derive(Debug)]
pub(super) struct GetApiJson;

/// Answers [`GetApiJson`].
#[derive(Debug)]
pub(super) struct GetApiJsonReply {
    pub(super) retval: i32,
    pub(super) json: ByteString,
}

macro_rules! request {
    ($name:ident => $reply:ident, $wire_name:literal, $crc:literal, $reply_crc:literal) => {
        impl Message for $name {
            const NAME: &'static str = $wire_name;
            const CRC: &'static str = $crc;
            const NAME_CRC: &'static str = concat!($wire_name, "_", $crc);
        }

        impl Wire for $name {
            fn encode(&self, _: &mut Writer) {}

            fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self)
            }
        }

        impl Request for $name {
            type Reply = $reply;
        }

        impl Message for $reply {
            const NAME: &'static str = concat!($wire_name, "_reply");
            const CRC: &'static str = $reply_crc;
            const NAME_CRC: &'static str = concat!($wire_name, "_reply_", $reply_crc);
        }

        impl Reply for $reply {
            fn retval(&self) -> i32 {
                self.retval
            }
        }
    };
}

request!(ApiVersions => ApiVersionsReply, "api_versions", "51077d14", "5f0d99d6");
request!(GetApiJson => GetApiJsonReply, "get_api_json", "51077d14", "ea715b59");

impl Wire for ApiVersionsReply {
    fn encode(&self, writer: &mut Writer) {
        self.retval.encode(writer);
        0_u32.encode(writer);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let retval = reader.field("retval")?;
        reader.field::<u32>("count")?;
        Ok(Self { retval })
    }
}

impl Wire for GetApiJsonReply {
    fn encode(&self, writer: &mut Writer) {
        self.retval.encode(writer);
        self.json.encode(writer);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { retval: reader.field("retval")?, json: reader.field("json")? })
    }
}
