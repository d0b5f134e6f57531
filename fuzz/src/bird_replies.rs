//! Target: what BIRD answers on its control socket.

use maglev_engine::routes::bird::{Reader, Reply, Step};

/// The first byte is the size of the pieces, the rest is what BIRD sends.
pub fn check(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let whole = replies(data, data.len().max(1));
    assert_eq!(replies(data, usize::from(*size).max(1)), whole, "pieces of {size}");
    for reply in &whole.0 {
        assert!(!reply.lines.is_empty());
        // Neither accepts what the other does.
        assert!(reply.greeting().is_err() || reply.protocols().is_ok_and(|found| found.is_empty()));
        if let Ok(protocols) = reply.protocols() {
            assert!(protocols.keys().all(|name| !name.contains(char::is_whitespace)));
        }
        let step = |enable| Step { protocol: "maglev_192_0_2_1".to_owned(), enable };
        let confirmed = [true, false].map(|enable| reply.confirms(&step(enable)).is_ok());
        assert!(confirmed.iter().all(|done| !done) || reply.lines.iter().all(|(code, _)| *code < 8000));
    }
}

/// All replies, and whether the connection is still of use.
fn replies(data: &[u8], size: usize) -> (Vec<Reply>, bool) {
    let (mut reader, mut found) = (Reader::default(), Vec::new());
    for mut piece in data.chunks(size) {
        while !piece.is_empty() {
            let Ok((reply, taken)) = reader.take(piece) else { return (found, false) };
            found.extend(reply);
            piece = &piece[taken..];
        }
    }
    (found, true)
}
