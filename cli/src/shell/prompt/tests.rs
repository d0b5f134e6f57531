use super::*;

#[test]
fn prompt_names_this_host_only_if_the_server_is_surely_on_it() {
    for (server, host, expected) in [
        ("127.0.0.1:17090", "lb1", "lb1"),
        ("[::1]:17090", "lb1", "lb1"),
        ("localhost:17090", "lb1", "lb1"),
        ("unix:/run/brain.sock", "lb1", "lb1"),
        ("127.0.0.1:9099", "lb1", "127.0.0.1:9099"),
        ("tls:localhost:17090", "lb1", "tls:localhost:17090"),
        ("lb2:9090", "lb1", "lb2:9090"),
        ("127.0.0.1:17090", "", "127.0.0.1:17090"),
    ] {
        assert_eq!(place(&server.parse().unwrap(), host), expected, "{server}");
    }
}
