use super::*;

fn headers(given: &[(&'static str, String)]) -> HeaderMap {
    given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
}

fn access(proxy_header: Option<&str>) -> (Access, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let mut users = Users::default();
    users.set("alice", Role::Admin, "correct horse").unwrap();
    users.set("bob", Role::Reader, "battery staple").unwrap();
    users.write(&path).unwrap();
    let settings = Settings { users: path, proxy_header: proxy_header.map(Into::into), hosts: vec![] };
    (Access::new(settings).unwrap(), folder)
}

fn own(more: &[(&'static str, String)]) -> HeaderMap {
    let mut all =
        vec![("host", "lb:1".to_owned()), ("origin", "https://lb:1".into()), ("user-agent", "x".into())];
    all.extend(more.iter().cloned());
    headers(&all)
}

const FAR: &str = "192.0.2.1:1000";

async fn session(access: &Access, peer: Peer, name: &str, password: &str) -> (&'static str, String) {
    let cookie = access.log_in(peer, &own(&[]), name, password.into()).await.unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; ") && cookie.ends_with("; Secure"), "{cookie}");
    ("cookie", cookie.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_stolen_cookie_is_worth_nothing_elsewhere() {
    let (access, _folder) = access(None);
    let (peer, thief) = (Peer::Tls(FAR.parse().unwrap()), Peer::Tls("192.0.2.66:1".parse().unwrap()));
    let now = Instant::now();
    let cookie = session(&access, peer, "alice", "correct horse").await;
    assert_eq!(access.admin(peer, &own(std::slice::from_ref(&cookie)), now).unwrap().name, "alice");
    assert_eq!(access.admin(thief, &own(std::slice::from_ref(&cookie)), now), Err(Refusal::Login));
    assert_eq!(access.admin(peer, &own(&[cookie]), now), Err(Refusal::Login), "and it ends");
}

#[tokio::test]
async fn readers_change_nothing_and_who_is_gone_is_logged_out() {
    let (access, folder) = access(None);
    let (peer, now) = (Peer::Tls(FAR.parse().unwrap()), Instant::now());
    let cookie = session(&access, peer, "bob", "battery staple").await;
    let bobs = own(&[cookie]);
    assert_eq!(access.admin(peer, &bobs, now), Err(Refusal::ReadOnly("bob".into())));
    assert!(access.reader(peer, &bobs, now).unwrap().is_some());
    let mut users = Users::read(&folder.path().join("users")).unwrap();
    users.remove("bob").unwrap();
    users.write(&folder.path().join("users")).unwrap();
    access.reload().unwrap();
    assert_eq!(access.reader(peer, &bobs, now), Err(Refusal::Login));
}

#[tokio::test]
async fn guessing_is_slow() {
    let (access, _folder) = access(None);
    let peer = Peer::Loopback("127.0.0.1:1".parse().unwrap());
    for _ in 0..5 {
        assert_eq!(access.log_in(peer, &own(&[]), "alice", "x".into()).await, Err(Refusal::Wrong));
    }
    let more = access.log_in(peer, &own(&[]), "alice", "correct horse".into()).await;
    assert!(matches!(more, Err(Refusal::TooMany(_))), "{more:?}");
    let foreign = headers(&[("host", "lb:1".into()), ("origin", "https://evil".into())]);
    assert_eq!(access.log_in(peer, &foreign, "alice", "x".into()).await, Err(Refusal::Foreign));
}

#[test]
fn without_a_login_only_this_machine_reads_and_nobody_changes() {
    let (access, _folder) = access(None);
    let now = Instant::now();
    let host = |name: &str| headers(&[("host", name.to_owned())]);
    let loopback = Peer::Loopback("127.0.0.1:1".parse().unwrap());
    assert_eq!(access.reader(loopback, &host("localhost:8080"), now), Ok(None));
    assert!(matches!(access.reader(loopback, &host("evil.example"), now), Err(Refusal::Host(_))));
    assert_eq!(access.reader(Peer::Unix, &host("anything"), now), Ok(None));
    assert_eq!(access.reader(Peer::Tls(FAR.parse().unwrap()), &host("lb"), now), Err(Refusal::Login));
    assert_eq!(access.admin(loopback, &own(&[]), now), Err(Refusal::Login));
}

#[test]
fn a_proxys_word_counts_on_the_unix_socket_alone() {
    let (access, _folder) = access(Some("x-remote-user"));
    let now = Instant::now();
    let named = |name: &str| own(&[("x-remote-user", name.to_owned())]);
    assert_eq!(access.admin(Peer::Unix, &named("carol"), now).unwrap().name, "carol");
    assert_eq!(access.admin(Peer::Unix, &named("bob"), now), Err(Refusal::ReadOnly("bob".into())));
    assert_eq!(access.admin(Peer::Tls(FAR.parse().unwrap()), &named("alice"), now), Err(Refusal::Login));
    let loopback = Peer::Loopback("127.0.0.1:1".parse().unwrap());
    assert_eq!(access.admin(loopback, &named("alice"), now), Err(Refusal::Login));
    assert_eq!(access.admin(Peer::Unix, &named(&"x".repeat(65)), now), Err(Refusal::Login));
}
