use std::path::Path;

use maglev_engine::agent::CallError;
use maglev_engine::config::LoadError;
use maglev_engine::core::{CommandError, InVpp};
use maglev_engine::overrides::PoolMember;
use tonic::Code;

use super::*;
use crate::reload::ReloadError;

fn refused(error: CommandError) -> (Code, String) {
    let status = refusal::command(&core().snapshot(Instant::now().into_std()), &error);
    (status.code(), status.message().to_owned())
}

fn member(pool: &str, backend: &str) -> PoolMember {
    PoolMember { frontend: "shop".into(), pool: pool.into(), backend: backend.into() }
}

#[test]
fn unknown_name_offers_the_nearest() {
    let names: Vec<Arc<str>> = vec!["shop-v4".into(), "shop-v6".into(), "dns".into()];
    let status = unknown("frontend", "shop-v5", names.iter());
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("\"shop-v4\" or \"shop-v6\""), "{}", status.message());
    let status = unknown("frontend", "zzz", names.iter());
    assert_eq!(status.message(), "there is no frontend \"zzz\"; `show frontends` lists them");
}

#[test]
fn names_that_no_configuration_can_have_are_not_looked_up() {
    let status = refusal::name("backend", String::new()).unwrap_err();
    let expected = (Code::InvalidArgument, "the name of the backend is missing");
    assert_eq!((status.code(), status.message()), expected);
    let status = refusal::name("pool", "x".repeat(65)).unwrap_err();
    let expected = "the name of the pool has 65 bytes: names have 64 at most";
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, expected));
    assert_eq!(refusal::name("pool", "x".repeat(64)).unwrap().len(), 64);
}

#[test]
fn pools_and_their_members_are_offered_too() {
    let has = String::from("anything");
    let error = CommandError::NoSuchPool { frontend: "shop".into(), pool: "primry".into(), has: has.clone() };
    let expected = "frontend \"shop\" has no pool \"primry\"; did you mean \"primary\"?";
    assert_eq!(refused(error), (Code::NotFound, expected.into()));
    let error = CommandError::NoSuchMember { member: member("primary", "b12"), has: has.clone() };
    let expected = "pool \"primary\" of frontend \"shop\" has no backend \"b12\"; did you mean \"b1\"?";
    assert_eq!(refused(error), (Code::NotFound, expected.into()));
    let error = CommandError::NoSuchMember { member: member("fallback", "xyz"), has };
    let expected = "pool \"fallback\" of frontend \"shop\" has no backend \"xyz\"; \
                    `show frontends shop` shows its pools";
    assert_eq!(refused(error), (Code::NotFound, expected.into()));
}

#[test]
fn every_refusal_has_its_code() {
    for (error, code) in [
        (CommandError::NoSuchBackend("b4".into()), Code::NotFound),
        (CommandError::NoSuchFrontend("shp".into()), Code::NotFound),
        (CommandError::Weight(101), Code::InvalidArgument),
        (CommandError::NothingSet("backend \"b1\"".into()), Code::NotFound),
        (CommandError::HeldBack("shop".into()), Code::FailedPrecondition),
        (CommandError::WarmingUp("4s".into()), Code::FailedPrecondition),
        (CommandError::NoVpp("nothing was done".into()), Code::Unavailable),
        (CommandError::Ending, Code::Unavailable),
    ] {
        assert_eq!(refused(error.clone()).0, code, "{error}");
    }
    for (error, code) in
        [(CallError::Busy, Code::ResourceExhausted), (CallError::Timeout, Code::DeadlineExceeded)]
    {
        assert_eq!(refusal::call(&error).code(), code, "{error}");
    }
}

#[test]
fn full_sync_that_nobody_could_wait_for_says_why() {
    let sync = |in_vpp| {
        let status = refusal::sync(&in_vpp);
        (status.code(), status.message().to_owned())
    };
    let (code, message) = sync(InVpp::Refused("another brain writes; will be retried".into()));
    assert_eq!(
        (code, message.as_str()),
        (Code::Unavailable, "refused: another brain writes; will be retried")
    );
    assert_eq!(sync(InVpp::Away("gone".into())).0, Code::Unavailable);
    assert_eq!(sync(InVpp::Late).0, Code::DeadlineExceeded);
}

fn reload_error(text: &str) -> ReloadError {
    ReloadError::Load(LoadError::Refused(parse("test.yaml", text).unwrap_err()))
}

#[test]
fn wrong_configuration_is_refused_with_the_whole_text() {
    let error = reload_error("maglev: { backend: {} }");
    let status = refusal::reload(&error);
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, error.to_string().as_str()));
    assert!(status.message().contains("did you mean `backends`?"), "{}", status.message());
    let missing = maglev_probe::files::load(Path::new("/nonexistent/maglev.yaml")).unwrap_err();
    assert_eq!(refusal::reload(&missing.into()).code(), Code::FailedPrecondition);
}

/// Stock clients accept headers of 8 KiB at most.
#[test]
fn text_that_a_status_cannot_carry_is_cut_between_findings() {
    let backends: String = (0..500).map(|number| format!("    b{number}: {{ address: x }}\n")).collect();
    let status = refusal::reload(&reload_error(&format!("maglev:\n  backends:\n{backends}")));
    let text = status.message().to_owned();
    let header = status.into_http::<()>().headers().get("grpc-message").unwrap().len();
    assert!(header < 8 << 10, "{header}");
    let shown = text.matches("error: ").count();
    assert!(shown > 5, "{shown}");
    let end = format!("\n\nthese are {shown} of 500 errors; `config check` shows all of them");
    assert!(text.ends_with(&end) && !text.contains("warning"), "{text}");
}
