use std::sync::Arc;

use super::*;

const ADMINS: u32 = 2000;
const READERS: u32 = 2001;
const OWN: u32 = 900;

fn access(loopback: Loopback) -> Access {
    let names = GroupNames { admins: "chiefs".into(), readers: "staff".into() };
    let users = UserDatabase::new(names.clone(), groups::look_up);
    Access { names, loopback, own_uid: OWN, users, admin_certificates: Vec::new() }
}

fn known(groups: &[u32]) -> Known {
    let groups = groups.to_vec();
    Known { user: None, groups, admin_group: Some(ADMINS), reader_group: Some(READERS) }
}

fn rights(uid: u32, gid: u32, known: Known) -> Rights {
    access(Loopback::Off).rights(Peer { uid, gid, pid: None }, &Ok(Arc::new(known)))
}

#[test]
fn groups_say_what_a_user_may() {
    assert_eq!(rights(0, 0, known(&[])), Rights::Admin, "root");
    assert_eq!(rights(OWN, OWN, known(&[])), Rights::Admin, "the brain's own user");
    assert_eq!(rights(1000, 100, known(&[100, ADMINS])), Rights::Admin);
    assert_eq!(rights(1000, ADMINS, known(&[100])), Rights::Admin, "the process's own group");
    assert_eq!(rights(1000, READERS, known(&[ADMINS, READERS])), Rights::Admin, "the greater of both");
    for (gid, groups) in [(100, vec![READERS]), (READERS, vec![])] {
        let right = "to change things, join the group chiefs";
        assert_eq!(rights(1000, gid, known(&groups)), Rights::ReadOnly(right.into()));
    }
    let right = "to read, join the group staff; to change things, in chiefs";
    assert_eq!(rights(1000, 100, known(&[100])), Rights::Nothing(right.into()));
}

#[test]
fn group_that_is_not_there_is_nobody() {
    let none = Known { groups: vec![100], ..Known::default() };
    let right = "to read, join the group staff (which does not exist yet); to change things, in chiefs (which \
        does not exist yet)";
    assert_eq!(rights(1000, 100, none.clone()), Rights::Nothing(right.into()));
    assert_eq!(rights(0, 0, none), Rights::Admin);
}

#[test]
fn silent_database_keeps_out_all_but_root_and_the_own_user() {
    let access = access(Loopback::Off);
    let rights = |uid| access.rights(Peer { uid, gid: ADMINS, pid: None }, &Err("since it is gone".into()));
    assert_eq!((rights(0), rights(OWN)), (Rights::Admin, Rights::Admin));
    let Rights::Nothing(reason) = rights(1000) else { panic!("{:?}", rights(1000)) };
    assert!(reason.starts_with("its groups are unknown, since it is gone; "), "{reason}");
}

#[test]
fn loopback_is_what_the_operator_says() {
    let rights = |loopback| access(loopback).over_loopback(([127, 0, 0, 1], 4711).into());
    assert_eq!(*rights(Loopback::Admin).rights(), Rights::Admin);
    assert!(matches!(rights(Loopback::ReadOnly).rights(), Rights::ReadOnly(_)));
    assert!(matches!(rights(Loopback::Off).rights(), Rights::Nothing(_)));
}

#[tokio::test]
async fn own_user_is_known_by_name() {
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let mut access = access(Loopback::Off);
    access.own_uid = uid.as_raw();
    let caller = access.over_unix(Peer { uid: uid.as_raw(), gid: gid.as_raw(), pid: Some(77) }).await;
    assert_eq!((caller.rights(), caller.from().as_str()), (&Rights::Admin, "process 77"));
    let name = nix::unistd::User::from_uid(uid).unwrap().unwrap().name;
    assert_eq!(caller.to_string(), format!("user {name} (uid {uid})"));
}

#[test]
fn group_that_is_named_must_be_there() {
    let settings = |group: Option<&str>| AccessSettings {
        admin_group: group.map(String::from),
        reader_group: None,
        loopback: Loopback::Off,
    };
    assert!(Access::new(settings(None)).is_ok(), "those by default need not be");
    let own = Group::from_gid(nix::unistd::getgid()).unwrap().unwrap().name;
    assert_eq!(Access::new(settings(Some(&own))).unwrap().names.admins, own);
    let error = Access::new(settings(Some("no-such-group"))).unwrap_err().to_string();
    let start = "--grpc-admin-group no-such-group: there is no such group on this machine; create it with ";
    assert!(error.starts_with(start), "{error}");
}
