//! What nobody off the path can guess.

use super::packet::{EchoId, TOKEN_LENGTH, Token};

/// Bytes for one request: identifier, sequence number and token.
const DRAW: usize = 4 + TOKEN_LENGTH;
/// Requests for which one system call fetches bytes.
const DRAWS: usize = 64;

/// Random bytes of the kernel, fetched for many requests at once.
#[derive(Debug, Default)]
pub(super) struct Random {
    unused: Vec<[u8; DRAW]>,
}

impl Random {
    /// An id and a token, each value of them as likely as any other.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn draw(&mut self) -> Result<(EchoId, Token), getrandom::Error> {
        let draw = match self.unused.pop() {
            Some(draw) => draw,
            None => {
                let mut fresh = [[0; DRAW]; DRAWS];
                getrandom::fill(fresh.as_flattened_mut())?;
                let [first, rest @ ..] = fresh;
                self.unused.extend(rest);
                first
            }
        };
        let [a, b, c, d, token @ ..] = draw;
        let id = EchoId { identifier: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]) };
        Ok((id, token))
    }
}

#[cfg(test)]
mod tests;
