//! Tells a client why it is refused a connection, in HTTP/2, before it has sent a request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Stream;

/// Maximum number of clients told at once. Further ones are closed without a reason.
const MOST: usize = 64;
/// Time limit for that.
const WITHIN: Duration = Duration::from_secs(1);
/// Bytes read from one: what it sends before it receives the reason.
const MOST_LEFT_OVER: u64 = 64 << 10;
/// An empty SETTINGS frame, which every server sends first (RFC 9113, section 3.4).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Frame type GOAWAY (section 6.8).
const GOAWAY: u8 = 7;
/// ENHANCE_YOUR_CALM: the client causes too much load (section 7).
const CALM: u32 = 11;

/// Tells clients the reason, a limited number at a time.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway(Arc<Semaphore>);

impl Default for TurnedAway {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl TurnedAway {
    /// Tells a client, in a task of its own that ends within [`WITHIN`] and may be aborted.
    pub(super) fn tell(&self, stream: impl Stream + 'static, why: &str) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else { return };
        let words = goaway(why);
        tokio::spawn(async move {
            // Failures do not matter: the client is refused anyway.
            drop(timeout(WITHIN, end(stream, &words)).await);
            drop(place);
        });
    }
}

/// Both frames. No stream was accepted, so the client may safely retry elsewhere.
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
    // Reads what the client has sent already before closing: otherwise the kernel resets the connection, and
    // the client may lose the reason.
    copy(&mut stream.take(MOST_LEFT_OVER), &mut sink()).await?;
    Ok(())
}
