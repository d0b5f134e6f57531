//! Random ids and tokens, unpredictable for anyone off the path.

use super::packet::{EchoId, TOKEN_LENGTH, Token};

/// Random bytes per request: identifier, sequence number and token.
const DRAW: usize = 4 + TOKEN_LENGTH;
/// Number of requests served by one system call.
const DRAWS: usize = 64;

/// The kernel's random bytes, fetched for many requests at once.
#[derive(Debug, Default)]
pub(super) struct Random {
    unused: Vec<[u8; DRAW]>,
}

impl Random {
    /// Draws an id and a token, uniformly distributed.
    ///
    /// # Errors
    /// When the kernel has no random bytes.
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
