use super::*;

#[test]
fn a_user_is_found_with_its_own_group_or_another() {
    let root = Account::find("root").unwrap();
    assert_eq!((root.uid, root.gid), (Uid::from_raw(0), Gid::from_raw(0)));
    let nobody = Account::find("nobody").unwrap();
    assert_ne!((nobody.uid, nobody.gid), (root.uid, root.gid));
    let mixed = Account::find("nobody:root").unwrap();
    assert_eq!(mixed, Account { gid: root.gid, ..nobody });
}

#[test]
fn an_unknown_name_is_said() {
    for (text, kind, unknown) in [
        ("no-such-user", "user", "no-such-user"),
        ("root:no-such-group", "group", "no-such-group"),
        ("", "user", ""),
        (":root", "user", ""),
        ("root:", "group", ""),
        ("0", "user", "0"),
    ] {
        let error = Account::find(text).unwrap_err();
        let expected = format!("there is no {kind} {unknown:?} on this machine: expected USER or USER:GROUP");
        assert_eq!(error.to_string(), expected);
    }
}
