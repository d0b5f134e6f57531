//! Probes over one connection, which lasts as long as the server lets it.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use maglev_engine::config::CheckKind;
use maglev_engine::outcome::ProbeOutcome;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::checker::Checker;
use super::icmp::Echo;
use super::inquiry::{Inquiry, Kept};

/// Asks for nothing but the verdict and the connection.
const KEEP: Inquiry = Inquiry { headers: Vec::new(), first_line: false, keep: true };

/// The connection of one backend's check between two probes.
#[derive(Debug, Clone, Default)]
pub struct KeptConnection(Arc<Mutex<Option<Kept>>>);

impl KeptConnection {
    /// Closes it.
    pub fn close(&self) {
        drop(self.replace(None));
    }

    fn replace(&self, connection: Option<Kept>) -> Option<Kept> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), connection)
    }
}

impl<E: Echo> Checker<E> {
    /// A place for the connection of a backend, if the check has `keepalive`.
    pub fn kept_connection(&self) -> Option<KeptConnection> {
        match &self.check().kind {
            CheckKind::Http { http, .. } if http.keepalive => Some(KeptConnection::default()),
            _ => None,
        }
    }

    /// Runs one probe over the kept connection, or over a new one if there is none or it breaks before an answer, as it
    /// does when a server closes idle connections. It is kept after a pass, if the server allows.
    pub async fn probe_over(&self, target: IpAddr, connection: &KeptConnection) -> ProbeOutcome {
        // In memory of its own, which other probes do not take.
        Box::pin(async {
            let probe = self.over(target, connection);
            match &self.check().agent {
                Some(agent) => {
                    self.with_agent(target, agent, probe, Instant::now() + self.check().timeout).await
                }
                None => probe.await,
            }
        })
        .await
    }

    async fn over(&self, target: IpAddr, connection: &KeptConnection) -> ProbeOutcome {
        let started = Instant::now();
        let deadline = started + self.check().timeout;
        let mut kept = connection.replace(None);
        if kept.as_mut().is_some_and(|kept| !is_quiet(kept)) {
            kept = None;
        }
        let is_reused = kept.is_some();
        let mut asked = self.ask_until(target, None, &KEEP, &mut kept, deadline).await;
        if is_reused && asked.is_unanswered {
            kept = None;
            asked = self.ask_until(target, None, &KEEP, &mut kept, deadline).await;
        }
        connection.replace(kept);
        let (code, detail) = asked.finding;
        ProbeOutcome { code, detail, duration: started.elapsed(), asked: asked.share }
    }
}

/// Whether the connection is open, as far as is known, and nothing came that nobody asked for.
fn is_quiet(kept: &mut Kept) -> bool {
    // The kernel is asked directly: what the runtime knows of a socket may be older.
    let peeked = SockRef::from(kept.tcp()).peek(&mut [MaybeUninit::uninit()]);
    let is_silent = peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    is_silent
        && match kept {
            Kept::Plain(_) => true,
            // It may have decrypted more than was asked for.
            Kept::Tls(stream) => {
                let mut cx = Context::from_waker(Waker::noop());
                Pin::new(stream.as_mut()).poll_read(&mut cx, &mut ReadBuf::new(&mut [0])).is_pending()
            }
        }
}

#[cfg(test)]
mod tests;
