use super::*;

fn server() -> ServerAddress {
    ServerAddress::Tcp { host: "::1".into(), port: 9090 }
}

/// Wraps a connector's error like tonic.
#[derive(Debug, thiserror::Error)]
#[error("transport error")]
struct Wrapped(#[source] io::Error);

#[test]
fn refused_connection_names_the_address_and_the_way_out() {
    let error = Error::connect(&server(), &Wrapped(io::Error::from_raw_os_error(111)));
    let expected = "\
maglevc: cannot connect to [::1]:9090: Connection refused
  is maglev-brain running, and does it listen on [::1]:9090 (its --grpc)? name another address with --server \
or MAGLEV_SERVER
";
    assert_eq!((error.report(false).as_str(), error.exit_code()), (expected, 3));
}

#[test]
fn unknown_name_is_not_blamed_on_the_brain() {
    let server = ServerAddress::Tcp { host: "lb9".into(), port: 9090 };
    let error = Error::connect(&server, &Unresolved(io::Error::other("Name or service not known")));
    let expected = "\
maglevc: cannot connect to lb9:9090: Name or service not known
  is the name right? an address works without a resolver: --server ADDRESS:PORT
";
    assert_eq!((error.report(false).as_str(), error.exit_code()), (expected, 3));
}

#[test]
fn forbidden_socket_asks_for_the_group() {
    let server = ServerAddress::Unix("/run/maglev/brain.sock".into());
    let error = Error::connect(&server, &Wrapped(io::Error::from_raw_os_error(13)));
    let expected = "\
maglevc: cannot connect to unix:/run/maglev/brain.sock: Permission denied
  your user may not open it: join the group that the socket belongs to
";
    assert_eq!((error.report(false).as_str(), error.exit_code()), (expected, 3));
}

#[test]
fn server_is_quoted_without_boilerplate() {
    let status = Status::not_found("there is no frontend \"shp\"; did you mean \"shop\"?");
    let error = Error::status(&server(), &status);
    let expected = "maglevc: there is no frontend \"shp\"; did you mean \"shop\"?\n";
    assert_eq!((error.report(false).as_str(), error.exit_code()), (expected, 1));
}

#[test]
fn unavailable_vpp_points_to_the_command_that_tells_more() {
    let error = Error::status(&server(), &Status::unavailable("the agent\x1b is away"));
    let expected = "\
maglevc: the agent\\u{1b} is away
  `maglevc show vpp info` tells what is connected
";
    assert_eq!((error.report(false).as_str(), error.exit_code()), (expected, 1));
}

#[test]
fn server_without_words_gets_those_of_the_code() {
    let error = Error::status(&server(), &Status::new(Code::PermissionDenied, ""));
    let description = Code::PermissionDenied.description();
    assert_eq!(error.report(false), format!("maglevc: {description}\n"));
}

#[test]
fn broken_connection_is_not_the_servers_word() {
    let status = Status::from_error(Box::new(Wrapped(io::Error::from_raw_os_error(104))));
    let error = Error::status(&server(), &status);
    assert_eq!(error.exit_code(), 3);
    let report = error.report(false);
    let first =
        "maglevc: the connection to [::1]:9090 broke before the answer came: Connection reset by peer\n";
    assert!(report.starts_with(first), "{report}");
}

#[test]
fn timeouts_name_their_length() {
    let error = Error::AnswerTimeout { server: server(), timeout: Duration::from_millis(1500) };
    assert_eq!(error.to_string(), "no answer from [::1]:9090 within 1s 500ms");
    assert_eq!(error.exit_code(), 3);
    let error = Error::ConnectTimeout { server: server(), timeout: Duration::from_secs(5) };
    assert_eq!(error.to_string(), "no connection to [::1]:9090 within 5s");
    assert_eq!(error.exit_code(), 3);
}
