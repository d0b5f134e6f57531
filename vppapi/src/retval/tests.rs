use super::Retval;

#[test]
fn known_codes_read_as_words_and_others_as_numbers() {
    assert_eq!(
        Retval(-81).to_string(),
        "already exists, or the prefix mixes per-port VIPs with one of all ports (VALUE_EXIST, -81)"
    );
    assert_eq!(Retval(-6).name(), Some("NO_SUCH_ENTRY"));
    assert_eq!(Retval(-4242).to_string(), "VPP error -4242");
    assert_eq!((Retval(-4242).name(), Retval(-4242).meaning()), (None, None));
    assert!(Retval(0).is_ok() && !Retval(-1).is_ok() && !Retval(1).is_ok());
}
