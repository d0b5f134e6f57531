use super::*;

#[tokio::test]
async fn the_kernel_s_word_decides() {
    let (one, _other) = UnixStream::pair().unwrap();
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!(Peer::of(&one, own).unwrap().pid, i32::try_from(std::process::id()).ok());
    let refused = Peer::of(&one, own + 1).unwrap_err();
    assert!(matches!(refused, Refusal::User { uid, expected, .. } if uid == own && expected == own + 1));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_one_line_a_second() {
    let mut refusals = Refusals::default();
    let start = Instant::now();
    assert!(refusals.is_due(start));
    for _ in 0..1000 {
        assert!(!refusals.is_due(start + LOG_PERIOD / 2));
    }
    assert_eq!(refusals.left_out, 1000);
    refusals.log(&Refusal::Unknown("a test".to_owned()), start + LOG_PERIOD);
    assert_eq!((refusals.left_out, refusals.logged), (0, Some(start + LOG_PERIOD)));
}
