use super::*;

#[test]
fn the_form_is_this() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let member =
        PoolMember { frontend: "www".to_owned(), pool: "primary".to_owned(), backend: "web1".to_owned() };
    let mut overrides = Overrides::default();
    let state = BackendOverride::Paused;
    overrides.insert(Override::Backend { name: "web1".to_owned(), state, since: at(1_795_266_305) });
    overrides.insert(Override::Weight { member, weight: 30, since: at(1_795_266_461) });
    let text = render(&overrides).unwrap();
    assert_eq!(
        text,
        "maglev-overrides 1 lines=2 d048db35;\n\
         backend web1 paused 2026-11-21T13:05:05Z 06285240;\n\
         weight www primary web1 30 2026-11-21T13:07:41Z 9479cf32;\n"
    );
    assert_eq!(parse(text.as_bytes()), Ok(Parsed { overrides, ..Parsed::default() }));
}
