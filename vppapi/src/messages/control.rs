//! Messages about the connection and VPP itself.

use super::Reply;
use crate::wire::{ByteString, DecodeError, FixedString, Reader, Wire, Writer};

messages! {
    /// Opens a connection. Always sent with id [`SOCKCLNT_CREATE_ID`](super::SOCKCLNT_CREATE_ID) and without
    /// a client index: use [`encode_bare`](super::encode_bare).
    #[derive(Copy)]
    bare SockclntCreate = "sockclnt_create" "455fb9c4" {
        /// Repeated by the reply.
        pub context: u32,
        /// The client's name, for VPP's operators.
        pub name: FixedString<64>,
    }

    /// Answers [`SockclntCreate`] with the message table. Its id is always
    /// [`SOCKCLNT_CREATE_REPLY_ID`](super::SOCKCLNT_CREATE_REPLY_ID).
    bare SockclntCreateReply = "sockclnt_create_reply" "35166268" {
        /// 0, without a meaning.
        pub client_index: u32,
        /// The request's context.
        pub context: u32,
        /// 0 for success.
        pub response: i32,
        /// The client index for further requests.
        pub index: u32,
        /// The server's messages.
        pub table: Vec<TableEntry>,
    }

    /// Closes a connection.
    #[derive(Copy)]
    request SockclntDelete = "sockclnt_delete" "8ac76db6" => SockclntDeleteReply {
        /// The client index.
        pub index: u32,
    }

    /// Answers [`SockclntDelete`].
    #[derive(Copy)]
    bare SockclntDeleteReply = "sockclnt_delete_reply" "8f38b1ee" {
        /// 1 for success (measured on VPP 26.10), unlike every other reply.
        pub response: i32,
    }

    /// Returns a reply and does nothing else, which also marks the end of a dump sent before it.
    #[derive(Copy)]
    request ControlPing = "control_ping" "51077d14" => ControlPingReply {}

    /// Answers [`ControlPing`].
    #[derive(Copy)]
    reply ControlPingReply = "control_ping_reply" "f6b0b8ca" {
        /// 0 for success.
        pub retval: i32,
        /// The client index of the connection.
        pub client_index: u32,
        /// VPP's process id.
        pub vpe_pid: u32,
    }

    /// Asks for VPP's version.
    #[derive(Copy)]
    request ShowVersion = "show_version" "51077d14" => ShowVersionReply {}

    /// Answers [`ShowVersion`].
    #[derive(Copy)]
    reply ShowVersionReply = "show_version_reply" "c919bde1" {
        /// 0 for success.
        pub retval: i32,
        /// The program's name, `vpe`.
        pub program: FixedString<32>,
        /// The version, such as `26.10-rc0~374-gb575ec2c56d`.
        pub version: FixedString<32>,
        /// Date and time of the build.
        pub build_date: FixedString<32>,
        /// Directory of the build.
        pub build_directory: FixedString<256>,
    }

    /// Runs a CLI command.
    request CliInband = "cli_inband" "f8377302" => CliInbandReply {
        /// The command.
        pub cmd: ByteString,
    }

    /// Answers [`CliInband`].
    reply CliInbandReply = "cli_inband_reply" "05879051" {
        /// 0 for success, -1 for an unknown command.
        pub retval: i32,
        /// What the command printed, or why it failed.
        pub reply: ByteString,
    }
}

impl Reply for SockclntDeleteReply {
    fn retval(&self) -> i32 {
        match self.response {
            1 => 0,
            other => other,
        }
    }
}

wire_struct! {
    /// One message of a server's table.
    #[derive(Copy)]
    pub struct TableEntry {
        /// The id that the message has in this build of the server.
        pub id: u16,
        /// The message's name and CRC.
        pub name_crc: FixedString<64>,
    }
}

/// The entries, preceded by their count as u16. Entries beyond 65535 are dropped when encoding.
impl Wire for Vec<TableEntry> {
    fn encode(&self, writer: &mut Writer) {
        let count = u16::try_from(self.len()).unwrap_or(u16::MAX);
        count.encode(writer);
        for entry in self.iter().take(count.into()) {
            entry.encode(writer);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.field::<u16>("count")?;
        (0..count).map(|_| TableEntry::decode(reader)).collect()
    }
}
