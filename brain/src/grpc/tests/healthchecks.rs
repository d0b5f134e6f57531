use super::changes::Brain;
use super::*;

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  healthchecks:
    web:
      type: https
      interval: 3s
      fast-interval: 500ms
      timeout: 700ms
      rise: 4
      probe-ipv6-src: 2001:db8::9
      params:
        host: www.example.org:8443
        headers: { X-Probe: maglev, Accept: text/html, Authorization: Basic c2VjcmV0 }
        response-code: 200, 300-399
        response-regexp: '\"up\"'
        method: GET
    deep: { type: tcp, port: 6379, params: { ssl: true, ssl-verify: false, sni: cache } }
    flat: { type: tcp, port: 53 }
    ping: { type: icmp }
    unused: { type: http }
    post: { type: http, params: { method: POST, body: '{}', keepalive: true, send-proxy: v2 } }
    redis: { type: tcp, port: 6379, params: { send: \"AUTH secret\\r\\n\", expect: '+OK' } }
    game: { type: udp, port: 27015, params: { send-hex: 'ff ff', expect-hex: 'ff 49' } }
    names: { type: dns, params: { name: www.example.org, record-type: AAAA, answer-regexp: '^2001:' } }
    cart: { type: grpc, port: 50051, params: { service: shop.v1.Cart, ssl: true, host: cart.example.org } }
  backends:
    b2: { address: 127.0.0.2, healthcheck: web, enabled: false }
    b1: { address: 127.0.0.1, healthcheck: web, enabled: false }
    b3: { address: 127.0.0.3, healthcheck: ping, enabled: false }
  frontends:
    any: { address: 203.0.113.11, pools: [ { name: only, backends: { b1: {}, b2: {}, b3: {} } } ] }
";

async fn get(brain: &Brain, name: &str) -> Result<HealthCheck, Status> {
    let request = Request::new(GetHealthCheckRequest { name: name.into() });
    brain.service.get_health_check(request).await.map(Response::into_inner)
}

fn parameters(check: &HealthCheck) -> Vec<(&str, &str)> {
    check.parameters.iter().map(|parameter| (parameter.key.as_str(), parameter.value.as_str())).collect()
}

#[tokio::test]
async fn check_is_shown_with_the_defaults_in_force() {
    let brain = Brain::start(CONFIG);
    let web = get(&brain, "web").await.unwrap();
    assert_eq!((web.name.as_str(), web.r#type.as_str(), web.port), ("web", "https", 443));
    let times = (web.interval_ms, web.fast_interval_ms, web.down_interval_ms, web.timeout_ms);
    assert_eq!((times, web.rise, web.fall), ((3000, 500, 3000, 700), 4, 3));
    let users: Vec<_> = web.backends.iter().map(|user| (user.backend.as_str(), user.state())).collect();
    assert_eq!(users, [("b1", BackendState::Disabled), ("b2", BackendState::Disabled)]);
    let expected = [
        ("ca-file", "the system's authorities"),
        ("headers", "X-Probe: maglev"),
        ("headers", "Accept: text/html"),
        ("headers", "Authorization: (hidden)"),
        ("host", "www.example.org:8443"),
        ("keepalive", "false"),
        ("method", "GET"),
        ("path", "/"),
        ("probe-ipv4-src", "chosen by the system"),
        ("probe-ipv6-src", "2001:db8::9"),
        ("response-code", "200,300-399"),
        ("response-regexp", "\"up\""),
        ("sni", "www.example.org"),
        ("ssl-verify", "true"),
    ];
    assert_eq!(parameters(&web), expected);
}

#[tokio::test]
async fn every_type_shows_what_belongs_to_it() {
    let brain = Brain::start(CONFIG);
    let sources = [("probe-ipv4-src", "chosen by the system"), ("probe-ipv6-src", "chosen by the system")];
    let deep = get(&brain, "deep").await.unwrap();
    let tls = [("sni", "cache"), ("ssl", "true"), ("ssl-verify", "false")];
    let expected = [&[("ca-file", "the system's authorities")][..], &sources, &tls].concat();
    assert_eq!((deep.r#type.as_str(), deep.port, parameters(&deep)), ("tcp", 6379, expected));
    let flat = get(&brain, "flat").await.unwrap();
    assert_eq!(parameters(&flat), [&sources[..], &[("ssl", "false")]].concat());
    let ping = get(&brain, "ping").await.unwrap();
    assert_eq!((ping.r#type.as_str(), ping.port, parameters(&ping)), ("icmp", 0, sources.to_vec()));
    let unused = get(&brain, "unused").await.unwrap();
    assert!(parameters(&unused).contains(&("host", "the backend's address")));
    assert_eq!((unused.r#type.as_str(), unused.port, unused.backends.len()), ("http", 80, 0));
}

#[tokio::test]
async fn further_protocols_show_what_they_expect_and_hide_what_they_send() {
    let brain = Brain::start(CONFIG);
    for (name, of, port, expected) in [
        (
            "post",
            "http",
            80,
            &[("body", "2 bytes (hidden)"), ("keepalive", "true"), ("method", "POST"), ("send-proxy", "v2")]
                [..],
        ),
        ("redis", "tcp", 6379, &[("expect", "+OK"), ("send", "13 bytes (hidden)")]),
        ("game", "udp", 27015, &[("expect-hex", "ff 49"), ("send", "2 bytes (hidden)")]),
        (
            "names",
            "dns",
            53,
            &[
                ("answer-regexp", "^2001:"),
                ("name", "www.example.org"),
                ("rcode", "NOERROR"),
                ("record-type", "AAAA"),
                ("transport", "udp"),
            ],
        ),
        (
            "cart",
            "grpc",
            50051,
            &[
                ("host", "cart.example.org"),
                ("service", "shop.v1.Cart"),
                ("sni", "cart.example.org"),
                ("ssl", "true"),
            ],
        ),
    ] {
        let check = get(&brain, name).await.unwrap();
        assert_eq!((check.r#type.as_str(), check.port), (of, port));
        let shown = parameters(&check);
        for parameter in expected {
            assert!(shown.contains(parameter), "{name}: {parameter:?} in {shown:?}");
        }
    }
}

#[tokio::test]
async fn checks_are_listed_by_name_and_unknown_ones_refused() {
    let brain = Brain::start(CONFIG);
    let all = brain.service.list_health_checks(Request::new(ListHealthChecksRequest {})).await.unwrap();
    let all = all.into_inner().healthchecks;
    let names: Vec<_> = all.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["cart", "deep", "flat", "game", "names", "ping", "post", "redis", "unused", "web"]);
    for check in &all {
        assert_eq!(get(&brain, &check.name).await.as_ref().unwrap(), check, "listed as by itself");
    }
    let status = get(&brain, "wep").await.unwrap_err();
    let expected =
        (tonic::Code::NotFound, "there is no healthcheck \"wep\"; did you mean \"web\" or \"deep\"?");
    assert_eq!((status.code(), status.message()), expected);
}
