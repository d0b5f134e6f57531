//! Checks through the tunnel: a server in a network namespace of its own loses its VIP, its tunnel and its MTU, one after
//! the other. Traffic of clients would die; a plain check sees nothing.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use maglev_tests::bird::Namespaces;
use maglev_tests::stack::Stack;
use maglev_tests::{skipped, wait};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};
use tun_rs::DeviceBuilder;

/// Port of the server, in a namespace that has no other.
const PORT: u16 = 8080;
const SERVER: &str = "192.0.2.2";
const VIP: &str = "198.51.100.1";
const VIP6: &str = "2001:db8:1::1";

/// What is told of a way that takes outer packets of 1400 bytes.
const LARGEST: &str = "198.51.100.1 through the tunnel: no echo reply in time to 1476 bytes; the largest packet that passes has 1376";

const POLICY: &str = "\
vips: [198.51.100.0/24, \"2001:db8:1::/64\"]
servers: [192.0.2.0/24]
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
    let mut command = stack.command("maglev-dpagent").unwrap();
    command.arg("--api-socket").arg(stack.vpp_run_dir().join("api.sock"));
    command.arg("--stats-socket").arg(stack.vpp_run_dir().join("stats.sock"));
    command.arg("--listen").arg(stack.agent_socket()).arg("--policy").arg(stack.policy());
    command.args(["--tunnel-device", "maglev-tun"]);
    within(namespace, || stack.spawn("dpagent", command)).unwrap();
}

const UP: [Expected<'_>; 3] =
    [("direct", "up", "L4OK", ""), ("through", "up", "L7OK", ""), ("full", "up", "L4OK", "")];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_check_cannot_see_is_found_through_the_tunnel() {
    if !Path::new("/dev/net/tun").exists() {
        return skipped("checks through the tunnel: there is no /dev/net/tun");
    }
    let mut stack = Stack::empty().unwrap();
    let namespaces = match Namespaces::make(stack.directory()) {
        Ok(namespaces) => namespaces,
        Err(error) => return skipped(&format!("checks through the tunnel: {error}")),
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
    stack.configure(&configuration()).unwrap();
    let mut server = stack.command("demo-backend").unwrap();
    server.args(["--listen", &format!("[::]:{PORT}"), "--name", "server"]);
    within(there, || stack.spawn("server", server)).unwrap();
    within(here, || stack.start_vppsim()).unwrap();
    start_agent(&mut stack, here);
    within(here, || stack.start_brain()).unwrap();
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
