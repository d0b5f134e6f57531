//! How a client learns why it gets no connection: in HTTP/2, before it has said anything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Stream;

/// Clients told at once. Further ones are closed without a word.
const MOST: usize = 64;
/// Time for that.
const WITHIN: Duration = Duration::from_secs(1);
/// Bytes that are read of one: what it sends before it has the answer.
const MOST_LEFT_OVER: u64 = 64 << 10;
/// An empty SETTINGS frame, with which every server begins (RFC 9113, section 3.4).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The type of the frame by which a connection is ended (section 6.8).
const GOAWAY: u8 = 7;
/// ENHANCE_YOUR_CALM: the client asks for too much (section 7).
const CALM: u32 = 11;

/// Tells clients why, some at a time.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway(Arc<Semaphore>);

impl Default for TurnedAway {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl TurnedAway {
    /// Tells a client, in a task of its own that ends within [`WITHIN`], and may be aborted.
    pub(super) fn tell(&self, stream: impl Stream + 'static, why: &str) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else { return };
        let words = goaway(why);
        tokio::spawn(async move {
            // A client that does not listen has nothing to learn.
            drop(timeout(WITHIN, end(stream, &words)).await);
            drop(place);
        });
    }
}

/// Both frames. No stream was taken on, so that whatever the client sends may be sent again elsewhere.
fn goaway(why: &str) -> Vec<u8> {
    let why = why.as_bytes();
    let length = u32::try_from(8 + why.len()).unwrap_or(8);
    let [_, length @ ..] = length.to_be_bytes();
    let no_stream = [0; 4];
    let head = [&length[..], &[GOAWAY, 0], &no_stream, &no_stream, &CALM.to_be_bytes()];
    [&SETTINGS[..], &head.concat(), why].concat()
}

async fn end(mut stream: impl Stream, words: &[u8]) -> io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    // What the client has sent already is read before the connection is closed: else the kernel resets it, and the
    // client may lose the reason.
    copy(&mut stream.take(MOST_LEFT_OVER), &mut sink()).await?;
    Ok(())
}
