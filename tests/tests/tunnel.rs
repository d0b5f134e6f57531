//! Checks through the tunnel: a server in a network namespace of its own loses its VIP, its tunnel and its MTU, one after
//! the other. Traffic of clients would die; a plain check sees nothing.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use maglev_tests::bird::Namespaces;
use maglev_tests::stack::Stack;
use maglev_tests::{maglevc, skipped, wait};
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tun_rs::DeviceBuilder;

/// Port of the server, in a namespace that has no other.
const PORT: u16 = 8080;
const SERVER: &str = "192.0.2.2";
const VIP: &str = "198.51.100.1";
const VIP6: &str = "2001:db8:1::1";

/// What is told of a way that takes outer packets of 1400 bytes.
const LARGEST: &str = "198.51.100.1 through the tunnel: no echo reply in time to 1476 bytes; the largest packet that passes has 1376";

/// How a check goes through the tunnel.
const THROUGH: &str = "via: tunnel, interval: 500ms, timeout: 1500ms, rise: 1, fall: 2";

const POLICY: &str = "\
vips: [198.51.100.0/24, \"2001:db8:1::/64\"]
servers: [192.0.2.0/24]
ping: [192.0.2.0/24]
tunnel-probes: [10.255.0.0/24, \"fd00:255::/64\"]
";

fn configuration() -> String {
    format!(
        "\
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}
  healthchecks:
    plain: {{ type: tcp, port: {PORT}, interval: 500ms, timeout: 1500ms, rise: 1, fall: 2 }}
    service: {{ type: http, via: tunnel, interval: 500ms, timeout: 1500ms, rise: 1, fall: 2 }}
    packets: {{ type: icmp, via: tunnel, size: 1476, interval: 500ms, timeout: 1500ms, rise: 1, fall: 2 }}
  backends:
    direct: {{ address: {SERVER}, healthcheck: plain }}
    through: {{ address: {SERVER}, healthcheck: service }}
    full: {{ address: {SERVER}, healthcheck: packets }}
  frontends:
    www: {{ address: {VIP}, protocol: tcp, port: {PORT}, pools: [{{ name: all, backends: {{ through: {{}} }} }}] }}
    www6: {{ address: \"{VIP6}\", protocol: tcp, port: {PORT}, pools: [{{ name: all, backends: {{ through: {{}} }} }}] }}
    big: {{ address: {VIP}, protocol: tcp, port: 1, pools: [{{ name: all, backends: {{ full: {{}} }} }}] }}
    plain: {{ address: 198.51.100.2, protocol: tcp, port: {PORT}, pools: [{{ name: all, backends: {{ direct: {{}} }} }}] }}
"
    )
}

/// Runs commands in a namespace.
fn prepare(namespace: &str, commands: &[&str]) {
    for command in commands {
        let ran =
            Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", command]).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// Runs something on a thread in a namespace. What it starts and opens stays there.
fn within<T: Send>(namespace: &str, run: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        let file = File::open(Path::new("/run/netns").join(namespace)).unwrap();
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        run()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

/// The server's end of the tunnel, which the kernels of test machines may lack.
#[derive(Debug)]
struct Decapsulator {
    /// Longest packet that arrives, with the outer header; 0: none does.
    longest: AtomicUsize,
    ends: AtomicBool,
}

impl Decapsulator {
    fn start(namespace: &str) -> Arc<Self> {
        let this = Arc::new(Self { longest: AtomicUsize::new(1500), ends: AtomicBool::new(false) });
        let (mut socket, device) = within(namespace, || {
            let device = DeviceBuilder::new().name("gre").build_sync().unwrap();
            (Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(47))).unwrap(), device)
        });
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let shared = Arc::clone(&this);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !shared.ends.load(Ordering::Relaxed) {
                let length = match socket.read(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                // An outer header without options, and GRE without any.
                let (outer, inner) = buffer[..length].split_at(24);
                let is_ipv6 = inner[0] >> 4 == 6;
                assert_eq!(outer[20..], if is_ipv6 { [0, 0, 0x86, 0xdd] } else { [0, 0, 8, 0] });
                assert_eq!(outer[6] & 0x40, 0x40, "it must not be fragmented");
                if length <= shared.longest.load(Ordering::Relaxed) {
                    device.send(inner).unwrap();
                }
            }
        });
        this
    }

    fn lets_pass(&self, longest: usize) {
        self.longest.store(longest, Ordering::Relaxed);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}

/// Ends the decapsulator with the test.
struct Ends(Arc<Decapsulator>);

/// What is to be found of a backend: its state, its last probe's code, and words of the detail.
type Expected<'a> = (&'a str, &'a str, &'a str, &'a str);

async fn wait_for(stack: &Stack, what: &str, expected: &[Expected<'_>]) {
    let look = || async {
        let backends = stack.backends().await?;
        for (name, state, code, words) in expected {
            let backend = &backends[*name];
            let probe = &backend["last_probe"];
            let is_right = backend["state"] == *state
                && probe["code"] == *code
                && probe["detail"].as_str().unwrap_or_default().contains(words);
            anyhow::ensure!(is_right, "{name}: {} {probe}", backend["state"]);
        }
        Ok(Some(()))
    };
    wait::until(what, look).await.map_err(|error| stack.explain(&error)).unwrap();
}

fn start_agent(stack: &mut Stack, namespace: &str) {
    std::fs::write(stack.policy(), POLICY).unwrap();
    spawn_agent(stack, namespace);
}

fn spawn_agent(stack: &mut Stack, namespace: &str) {
    let mut command = stack.command("maglev-dpagent").unwrap();
    command.arg("--api-socket").arg(stack.vpp_run_dir().join("api.sock"));
    command.arg("--stats-socket").arg(stack.vpp_run_dir().join("stats.sock"));
    command.arg("--listen").arg(stack.agent_socket()).arg("--policy").arg(stack.policy());
    command.args(["--tunnel-device", "maglev-tun"]);
    within(namespace, || stack.spawn("dpagent", command)).unwrap();
}

const UP: [Expected<'_>; 3] =
    [("direct", "up", "L4OK", ""), ("through", "up", "L7OK", ""), ("full", "up", "L4OK", "")];

/// A load balancer and a server, in a namespace each, with a tunnel between them.
struct Lab {
    stack: Stack,
    namespaces: Namespaces,
    decapsulator: Ends,
}

impl Lab {
    /// Without the processes; `None` if this machine cannot have it.
    fn build(configuration: &str) -> Option<Self> {
        let skip = |why: &str| {
            skipped(&format!("checks through the tunnel: {why}"));
            None
        };
        if !Path::new("/dev/net/tun").exists() {
            return skip("there is no /dev/net/tun");
        }
        let stack = Stack::empty().unwrap();
        let namespaces = match Namespaces::make(stack.directory()) {
            Ok(namespaces) => namespaces,
            Err(error) => return skip(&error.to_string()),
        };
        let [here, there] = &namespaces.names;
        prepare(
            here,
            &[
                "ip tuntap add dev maglev-tun mode tun",
                "ip link set maglev-tun up",
                "ip addr add fd01::1/64 dev va nodad",
                "ip route add local 10.255.0.0/24 dev lo",
                "ip -6 route add local fd00:255::/64 dev lo",
                "ip route add default dev maglev-tun table 4711",
                "ip -6 route add default dev maglev-tun table 4711",
                "ip rule add from 10.255.0.0/24 lookup 4711",
                "ip -6 rule add from fd00:255::/64 lookup 4711",
                "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
                "echo 0 > /proc/sys/net/ipv4/conf/va/rp_filter",
            ],
        );
        let decapsulator = Ends(Decapsulator::start(there));
        prepare(
            there,
            &[
                "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
                "echo 0 > /proc/sys/net/ipv4/conf/gre/rp_filter",
                "ip addr add fd01::2/64 dev vb nodad",
                "ip addr add 198.51.100.1/32 dev lo",
                "ip addr add 2001:db8:1::1/128 dev lo nodad",
                "ip route add 10.255.0.0/24 via 192.0.2.1",
                "ip -6 route add fd00:255::/64 via fd01::1",
            ],
        );
        stack.configure(configuration).unwrap();
        Some(Self { stack, namespaces, decapsulator })
    }

    fn start_server(&mut self) {
        let mut server = self.stack.command("demo-backend").unwrap();
        server.args(["--listen", &format!("[::]:{PORT}"), "--name", "server"]);
        within(&self.namespaces.names[1], || self.stack.spawn("server", server)).unwrap();
    }

    /// The load balancer.
    fn start(&mut self) {
        let here = self.namespaces.names[0].clone();
        within(&here, || self.stack.start_vppsim()).unwrap();
        start_agent(&mut self.stack, &here);
        within(&here, || self.stack.start_brain()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_check_cannot_see_is_found_through_the_tunnel() {
    let Some(mut lab) = Lab::build(&configuration()) else { return };
    lab.start_server();
    lab.start();
    let Lab { mut stack, namespaces, decapsulator } = lab;
    let [here, there] = &namespaces.names;
    wait_for(&stack, "all to be up", &UP).await;

    prepare(there, &["ip addr del 198.51.100.1/32 dev lo"]);
    let [alive, ..] = UP;
    let lost = [alive, ("through", "down", "L4TOUT", "198.51.100.1 port 8080 through the tunnel: ")];
    wait_for(&stack, "the lost VIP to be found", &lost).await;
    prepare(there, &["ip addr add 198.51.100.1/32 dev lo", "ip addr del 2001:db8:1::1/128 dev lo"]);
    let lost = [alive, ("through", "down", "L4CON", "2001:db8:1::1 port 8080 through the tunnel: ")];
    wait_for(&stack, "the lost IPv6 VIP to be found", &lost).await;
    prepare(there, &["ip addr add 2001:db8:1::1/128 dev lo nodad"]);
    wait_for(&stack, "all to be up again", &UP).await;

    decapsulator.0.lets_pass(0);
    let lost = [alive, ("through", "down", "L4TOUT", ""), ("full", "down", "L4TOUT", "")];
    wait_for(&stack, "the lost tunnel to be found", &lost).await;
    decapsulator.0.lets_pass(1400);
    let lost = [alive, ("through", "up", "L7OK", ""), ("full", "down", "L4TOUT", LARGEST)];
    wait_for(&stack, "the lost MTU to be found", &lost).await;
    decapsulator.0.lets_pass(1500);
    wait_for(&stack, "all to be up once more", &UP).await;

    // Faults of this machine say nothing about the server.
    prepare(here, &["ip rule del from 10.255.0.0/24 lookup 4711"]);
    let beside =
        [alive, ("through", "up", "SOCKERR", "198.51.100.1 port 8080 through the tunnel: not probed: ")];
    wait_for(&stack, "the missing rule to be told", &beside).await;
    prepare(here, &["ip rule add from 10.255.0.0/24 lookup 4711"]);
    stack.kill("dpagent").unwrap();
    let away =
        [alive, ("through", "up", "SOCKERR", "not probed: "), ("full", "up", "SOCKERR", "not probed: ")];
    wait_for(&stack, "probes to need the agent", &away).await;
    start_agent(&mut stack, here);
    wait_for(&stack, "all to be probed again", &UP).await;
}

/// Probes a backend hop by hop; returns the exit code, and the hops of its only frontend with their states.
async fn hops(stack: &Stack, frontend: &str) -> (i32, Vec<(String, String)>, Value) {
    let words = ["check", "backend", "through", "via", "tunnel", "frontend", frontend];
    let (code, answer) = maglevc::verdict(&stack.brain_socket(), &words).await.unwrap();
    let word = |hop: &Value, key: &str| hop[key].as_str().unwrap().to_owned();
    let hops = answer["paths"][0]["hops"].as_array().unwrap();
    let states = hops.iter().map(|hop| (word(hop, "hop"), word(hop, "state"))).collect();
    (code.unwrap(), states, hops.last().unwrap().clone())
}

/// Expects all hops up to the last of these to work, which fails with these words of its result and meaning.
async fn expect_fault(stack: &Stack, hops_before: &[&str], fails: &str, words: [&str; 2]) {
    let look = || async {
        let (code, states, last) = hops(stack, "www").await;
        let works = hops_before.iter().map(|hop| ((*hop).to_owned(), "ok".to_owned()));
        let expected: Vec<_> = works.chain([(fails.to_owned(), "failed".to_owned())]).collect();
        let failed = states.iter().filter(|(hop, state)| hop == fails || state == "failed");
        anyhow::ensure!(failed.count() == 1 && states.starts_with(&expected), "{states:?} {last}");
        assert_eq!(code, 1);
        Ok(Some(last))
    };
    let last = wait::until(&format!("{fails} to fail"), look).await.unwrap();
    if last["hop"] == fails {
        let detail = last["result"]["detail"].as_str().unwrap();
        assert!(detail.contains(words[0]), "{last}");
        assert!(last["meaning"].as_str().unwrap().contains(words[1]), "{last}");
    }
}

/// A server that loses one thing after the other, told apart by `check backend`, which needs no check through the tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_which_hop_fails() {
    let configuration = configuration()
        .replace("type: http, via: tunnel", &format!("type: http, port: {PORT}"))
        .replace("type: icmp, via: tunnel, size: 1476", "type: tcp, port: 9");
    let Some(mut lab) = Lab::build(&configuration) else { return };
    lab.start_server();
    lab.start();
    let Lab { mut stack, namespaces, decapsulator } = lab;
    let [here, there] = &namespaces.names;
    wait_for(&stack, "the server to be up", &UP[..2]).await;

    let all = ["address", "tunnel", "vip", "listener", "mtu"].map(|hop| (hop.to_owned(), "ok".to_owned()));
    for frontend in ["www", "www6"] {
        // The kernels may still be about to find out that their IPv6 addresses are unique.
        let look = || async {
            let (code, states, last) = hops(&stack, frontend).await;
            anyhow::ensure!((code, &states[..]) == (0, &all[..]), "{states:?} {last}");
            Ok(Some(()))
        };
        wait::until(&format!("all hops to {frontend} to work"), look).await.unwrap();
    }
    let (code, answer) =
        maglevc::verdict(&stack.brain_socket(), &["check", "backend", "through"]).await.unwrap();
    let check = &answer["checks"][0];
    assert_eq!(
        (code, &check["healthcheck"], &check["result"]["code"]),
        (Some(0), &"service".into(), &"L7OK".into())
    );
    let (code, answer) =
        maglevc::verdict(&stack.brain_socket(), &["check", "backend", "full"]).await.unwrap();
    assert_eq!((code, &answer["checks"][0]["result"]["code"]), (Some(1), &"L4CON".into()));

    prepare(there, &["ip addr del 198.51.100.1/32 dev lo"]);
    let words = ["198.51.100.1 through the tunnel: no echo reply in time", "198.51.100.1/32"];
    expect_fault(&stack, &["address", "tunnel"], "vip", words).await;
    prepare(there, &["ip addr add 198.51.100.1/32 dev lo"]);
    decapsulator.0.lets_pass(0);
    let words = ["192.0.2.2 through the tunnel: no echo reply in time", "GRE device"];
    expect_fault(&stack, &["address"], "tunnel", words).await;
    decapsulator.0.lets_pass(1400);
    let words = ["the largest packet that passes has 1376", "MSS"];
    expect_fault(&stack, &["address", "tunnel", "vip", "listener"], "mtu", words).await;
    decapsulator.0.lets_pass(1500);
    stack.kill("server").unwrap();
    expect_fault(&stack, &["address", "tunnel", "vip"], "listener", ["", ""]).await;
    prepare(there, &["ip link set vb down"]);
    let words = ["", "is the server up"];
    expect_fault(&stack, &[], "address", words).await;

    // What this side lacks is told, and says nothing about the server.
    prepare(there, &["ip link set vb up"]);
    stack.kill("dpagent").unwrap();
    std::fs::write(stack.policy(), POLICY.replace("tunnel-probes", "# tunnel-probes")).unwrap();
    spawn_agent(&mut stack, here);
    let look = || async {
        let (code, states, last) = hops(&stack, "www").await;
        let detail = last["result"]["detail"].as_str().unwrap_or_default();
        let is_told = detail.contains("no prefix of `tunnel-probes` in") && last["state"] == "unknown";
        anyhow::ensure!(code == 1 && states.len() == 2 && is_told, "{states:?} {last}");
        Ok(Some(()))
    };
    wait::until("the missing rule to be told", look).await.unwrap();
}

/// Sockets in the server's namespace.
fn bound<T: Send>(namespace: &str, bind: impl FnOnce() -> std::io::Result<T> + Send) -> T {
    within(namespace, bind).unwrap()
}

/// Answers each datagram with what is made of it, until its thread ends with the process.
fn answer_datagrams(socket: UdpSocket, answer: fn(&[u8]) -> Vec<u8>) {
    std::thread::spawn(move || {
        let mut asked = [0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut asked) {
            drop(socket.send_to(&answer(&asked[..length]), client));
        }
    });
}

/// An answer without records.
fn dns_answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    if let Some(flags) = answer.get_mut(2..4) {
        flags.copy_from_slice(&[0x81, 0x80]);
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_and_grpc_go_through_the_tunnel() {
    let configuration = format!(
        "\
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1 }} }}
  healthchecks:
    game: {{ type: udp, port: 1, params: {{ send: ping, expect: pong }}, {THROUGH} }}
    names: {{ type: dns, params: {{ name: www.example.org }}, {THROUGH} }}
    calls: {{ type: grpc, port: 1, {THROUGH} }}
  backends:
    udp: {{ address: {SERVER}, healthcheck: game }}
    dns: {{ address: {SERVER}, healthcheck: names }}
    grpc: {{ address: {SERVER}, healthcheck: calls }}
  frontends:
    udp: {{ address: {VIP}, protocol: udp, port: 27015, pools: [{{ name: all, backends: {{ udp: {{}} }} }}] }}
    dns: {{ address: {VIP}, protocol: udp, port: 53, pools: [{{ name: all, backends: {{ dns: {{}} }} }}] }}
    dns6: {{ address: \"{VIP6}\", protocol: udp, port: 53, pools: [{{ name: all, backends: {{ dns: {{}} }} }}] }}
    grpc: {{ address: {VIP}, protocol: tcp, port: 50051, pools: [{{ name: all, backends: {{ grpc: {{}} }} }}] }}
"
    );
    let Some(mut lab) = Lab::build(&configuration) else { return };
    let there = lab.namespaces.names[1].clone();
    answer_datagrams(bound(&there, || UdpSocket::bind((VIP, 27015))), |_| b"pong".to_vec());
    answer_datagrams(bound(&there, || UdpSocket::bind((VIP, 53))), dns_answer);
    answer_datagrams(bound(&there, || UdpSocket::bind((VIP6, 53))), dns_answer);
    let listener = bound(&there, || std::net::TcpListener::bind((VIP, 50051)));
    listener.set_nonblocking(true).unwrap();
    let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let server = Server::builder().add_service(health).serve_with_incoming(incoming);
    let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(server));
    lab.start();
    let up = ["udp", "dns", "grpc"].map(|name| (name, "up", "L7OK", ""));
    wait_for(&lab.stack, "all to be up", &up).await;

    prepare(&there, &["ip addr del 198.51.100.1/32 dev lo"]);
    let told = |port| format!("198.51.100.1 port {port} through the tunnel: ");
    let [udp, dns, grpc] = [27015, 53, 50051].map(told);
    let down = [
        ("udp", "down", "L4TOUT", &*udp),
        ("dns", "down", "L4TOUT", &*dns),
        ("grpc", "down", "L4TOUT", &*grpc),
    ];
    wait_for(&lab.stack, "the lost VIP to be found", &down).await;
    prepare(&there, &["ip addr add 198.51.100.1/32 dev lo"]);
    wait_for(&lab.stack, "all to be up again", &up).await;
}
