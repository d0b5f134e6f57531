//! Reading the policy file again after the process can no longer open files.
//!
//! The filter of system calls forbids `open`. So a second process of the same program is started before the filter is
//! installed. It does nothing but read that one file each time it is asked, over a pair of sockets, and ends with the
//! agent. The agent parses the text: the reader never judges it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::file::MAX_LENGTH;

/// Longest wait for the file, in which a file system that hangs is given up.
pub const READ_TIME: Duration = Duration::from_secs(5);

/// First byte of an answer: the text follows, or the reason why there is none.
const TEXT: u8 = 0;
const REASON: u8 = 1;

/// Why the file could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The file was refused, or could not be read.
    #[error("{0}")]
    File(String),
    /// The reader has not answered.
    #[error("the file was not read within {} s", READ_TIME.as_secs())]
    Late,
    /// The reader has ended, or answers what it should not.
    #[error("the process that reads it has ended ({0}); restart the agent")]
    Gone(io::Error),
}

/// The agent's end.
#[derive(Debug)]
pub struct Reader {
    stream: tokio::net::UnixStream,
    /// Number of the newest request. An answer to an older one came too late, and is dropped.
    newest: u8,
    received: Vec<u8>,
}

/// Starts the process that reads, by `command`, which must lead to [`serve`].
///
/// # Errors
/// If it cannot be started.
pub fn spawn(mut command: Command) -> io::Result<UnixStream> {
    let (here, there) = UnixStream::pair()?;
    here.set_nonblocking(true)?;
    command
        .arg0("maglev-dpagent (policy reader)")
        .stdout(Stdio::null())
        .stdin(OwnedFd::from(there))
        .spawn()?;
    Ok(here)
}

/// Reads the file for each request on standard input until the agent has ended. Ctrl-C, which reaches both processes, is
/// left to the agent.
///
/// # Errors
/// If the sockets fail.
pub fn serve(path: &Path, own: u32) -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let stream = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
    answer_requests(UnixStream::from(stream), || super::read(path, own).map_err(|error| error.to_string()))
}

fn answer_requests(mut stream: UnixStream, read: impl Fn() -> Result<String, String>) -> io::Result<()> {
    let mut request = [0];
    while stream.read(&mut request)? == 1 {
        let (kind, text) = match read() {
            Ok(text) => (TEXT, text),
            Err(reason) => (REASON, reason),
        };
        let length = u32::try_from(text.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        stream.write_all(&[&[request[0], kind][..], &length.to_be_bytes(), text.as_bytes()].concat())?;
    }
    Ok(())
}

impl Reader {
    /// Takes the agent's end into the runtime.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self { stream: tokio::net::UnixStream::from_std(stream)?, newest: 0, received: Vec::new() })
    }

    /// Reads the file now.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub async fn read(&mut self) -> Result<String, ReaderError> {
        self.newest = self.newest.wrapping_add(1);
        match timeout(READ_TIME, self.exchange()).await {
            Ok(Ok((TEXT, text))) => Ok(text),
            Ok(Ok((_, reason))) => Err(ReaderError::File(reason)),
            Ok(Err(error)) => Err(ReaderError::Gone(error)),
            Err(_) => Err(ReaderError::Late),
        }
    }

    async fn exchange(&mut self) -> io::Result<(u8, String)> {
        self.stream.write_all(&[self.newest]).await?;
        loop {
            while let Some((request, kind, text)) = take_answer(&mut self.received)? {
                if request == self.newest {
                    return Ok((kind, text));
                }
            }
            // Kept across calls: a wait that is over may leave part of an answer.
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Takes the first answer out of what was received, if all of it is there.
fn take_answer(received: &mut Vec<u8>) -> io::Result<Option<(u8, u8, String)>> {
    let Some((&[request, kind, ref length @ ..], text)) = received.split_first_chunk::<6>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    if u64::from(length) > MAX_LENGTH {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("an answer of {length} bytes")));
    }
    let Some(text) = text.get(..length as usize) else { return Ok(None) };
    let text = String::from_utf8_lossy(text).into_owned();
    received.drain(..6 + length as usize);
    Ok(Some((request, kind, text)))
}

#[cfg(test)]
mod tests;
