//! Target: a server's own word, as its agent says it. The server may be malicious.

use maglev_engine::outcome::{Share, Word};
use maglev_probe::{AgentReply, AgentWord};

/// Longest detail that is shown to an operator, in bytes.
const LONGEST_DETAIL: usize = 400;

/// The first byte is the size of the pieces in which the rest arrives.
pub fn check(data: &[u8]) {
    let Some((size, said)) = data.split_first() else { return };
    let mut reply = AgentReply::default();
    let mut pieces = said.chunks(usize::from(*size).max(1));
    let word = pieces.find_map(|piece| reply.feed(piece)).unwrap_or_else(|| reply.end());
    match word {
        AgentWord::Word(Word::Serves(share)) => assert!(share <= Share::WHOLE),
        AgentWord::Word(Word::Down) => {
            let said = said.to_ascii_lowercase();
            let has = |word: &[u8]| said.windows(word.len()).any(|part| part == word);
            assert!(has(b"down") || has(b"fail") || has(b"stopped"));
        }
        AgentWord::Unclear(quote) => {
            assert!(!quote.is_empty() && quote.len() <= LONGEST_DETAIL, "{} bytes", quote.len());
            assert!(!quote.chars().any(char::is_control), "{quote:?}");
        }
        AgentWord::Missing(reason) => assert!(said.is_empty(), "{reason}"),
    }
}
