use super::*;

#[tokio::test]
async fn the_kernel_s_word_decides() {
    let (one, _other) = UnixStream::pair().unwrap();
    let own = nix::unistd::geteuid().as_raw();
    let peer = Peer { pid: i32::try_from(std::process::id()).ok() };
    assert_eq!(Peer::of(&one, own), Ok(peer));
    let refused = Peer::of(&one, own + 1).unwrap_err();
    assert_eq!(refused, Refusal::User { uid: own, peer, expected: own + 1 });
    assert_eq!(refused.who(), format!("user {own}"));
}
