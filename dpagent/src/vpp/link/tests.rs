use super::*;

fn away(reason: &str, silent_ms: u64) -> VppState {
    VppState::Disconnected { reason: reason.to_owned(), silent_ms }
}

fn incompatible() -> VppState {
    VppState::Incompatible { version: "26.06".to_owned(), missing: Vec::new(), needs: String::new() }
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_stays_away_stays_as_silent_as_it_was_found() {
    let mut link = Link::default();
    let now = Instant::now();
    assert!(link.change(incompatible(), now));
    assert!(link.change(away("hangs", 2500), now));
    let found = link.info();
    assert_eq!(found.state, away("hangs", 2500));
    assert!(!link.change(away("hangs", 0), now));
    assert_eq!(link.info(), found);
    // Another reason is a change; how it was found is not.
    assert!(link.change(away("no socket", 0), now));
    assert_eq!(link.info(), VppInfo { generation: found.generation + 1, state: away("no socket", 2500) });
    assert!(link.change(incompatible(), now));
    assert!(link.change(away("closed", 0), now));
    assert_eq!(link.info().state, away("closed", 0));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_has_only_just_started_knows_of_no_silence() {
    let mut link = Link::default();
    assert!(link.change(away("did not complete the handshake", 5000), Instant::now()));
    assert_eq!(link.info().state, away("did not complete the handshake", 0));
}
