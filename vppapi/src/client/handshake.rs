//! The handshake, which returns the client index and the message table.

use std::path::Path;

use bytes::BytesMut;
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Encoder, FramedRead};

use super::{ClientError, ConnectOptions};
use crate::frame::FrameCodec;
use crate::messages::{
    SOCKCLNT_CREATE_ID, SOCKCLNT_CREATE_REPLY_ID, SockclntCreate, SockclntCreateReply, decode_bare,
    encode_bare, message_id,
};
use crate::table::MessageTable;
use crate::wire::FixedString;

/// A connection past the handshake.
pub(super) struct Greeted<R, W> {
    pub(super) reader: FramedRead<R, FrameCodec>,
    pub(super) writer: W,
    pub(super) client_index: u32,
    pub(super) table: MessageTable,
}

/// Arbitrary: the reply is the first frame that VPP sends.
const CONTEXT: u32 = 0;

pub(super) async fn handshake<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: R,
    mut writer: W,
    path: &Path,
    options: &ConnectOptions,
) -> Result<Greeted<R, W>, ClientError> {
    let failed = |reason: String| ClientError::Handshake { path: path.into(), reason };
    let name = FixedString::new(&options.name).map_err(|error| failed(error.to_string()))?;
    let create = encode_bare(SOCKCLNT_CREATE_ID, &SockclntCreate { context: CONTEXT, name });
    let mut codec = FrameCodec { max_body: options.max_body };
    let mut frame = BytesMut::new();
    codec.encode(create, &mut frame).map_err(|error| failed(error.to_string()))?;

    writer.write_all(&frame).await.map_err(|error| failed(format!("cannot write: {error}")))?;
    let mut reader = FramedRead::new(reader, codec);
    let body = match reader.next().await {
        Some(body) => body.map_err(|error| failed(error.to_string()))?,
        None => return Err(failed("the connection was closed without an answer".to_owned())),
    };
    if message_id(&body) != Some(SOCKCLNT_CREATE_REPLY_ID) {
        let found = message_id(&body).map_or("no message id".to_owned(), |id| format!("message id {id}"));
        return Err(failed(format!(
            "{found} found, expected {SOCKCLNT_CREATE_REPLY_ID} (sockclnt_create_reply)"
        )));
    }
    let reply: SockclntCreateReply = decode_bare(&body).map_err(|error| failed(error.to_string()))?;
    if reply.response != 0 {
        return Err(failed(format!("response {} found, expected 0", reply.response)));
    }
    let table = MessageTable::from(&reply);
    tracing::debug!(path = %path.display(), messages = table.len(), index = reply.index, "connected to VPP");
    Ok(Greeted { reader, writer, client_index: reply.index, table })
}
