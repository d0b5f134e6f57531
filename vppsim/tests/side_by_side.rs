//! Random requests to a real VPP 26.06 and to the simulator: every answer, dump and text is the same.
//!
//! Uses the VPP without VIPs, freshly started, whose sockets are in the directory `MAGLEV_VPP_RUN_DIR`; without one of lb
//! API 1.1.0 it is skipped. `MAGLEV_REQUESTS` is the number of requests.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::net::IpAddr;
use std::path::PathBuf;

use common::Vppsim;
use vppapi::client::{Client, ClientError, ConnectOptions};
use vppapi::messages::{
    CliInband, LbAddDelAs, LbAddDelVipV2, LbAsDetails, LbAsDump, LbAsSetWeight, LbConf, LbFlushVip,
    LbVipDetails, LbVipDump, Message, Request,
};
use vppapi::types::{Encap, Prefix, VipId};

const REQUESTS: usize = 3000;
/// Requests between two comparisons of everything.
const PERIOD: usize = 25;

fn real_vpp() -> Option<PathBuf> {
    std::env::var_os("MAGLEV_VPP_RUN_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
}

struct Both {
    real: Client,
    simulated: Client,
    /// VIPs that were accepted and not removed.
    vips: Vec<VipId>,
}

impl Both {
    async fn call<R: Request + Clone + std::fmt::Debug>(&self, request: R) -> i32 {
        let answers = [self.real.call(request.clone()).await, self.simulated.call(request.clone()).await];
        let [real, simulated] = answers.map(|answer| match answer {
            Ok(_) => 0,
            Err(ClientError::Refused { retval, .. }) => retval.0,
            Err(error) => panic!("{request:?}: {error}"),
        });
        assert_eq!(simulated, real, "{request:?}");
        real
    }

    async fn text(&self, command: &str) -> [String; 2] {
        let of = |client: &Client| {
            let client = client.clone();
            let request = CliInband { cmd: command.into() };
            async move { routes_removed(&client.call(request).await.unwrap().reply.as_str()) }
        };
        [of(&self.real).await, of(&self.simulated).await]
    }

    async fn compare(&self) -> usize {
        let mut rows = 0;
        let of = |client: &Client| {
            let client = client.clone();
            async move {
                let vips: Vec<LbVipDetails> = client.dump(LbVipDump::default()).await.unwrap();
                // When a server was removed, by the clock of each.
                let servers: Vec<LbAsDetails> = client.dump(LbAsDump::default()).await.unwrap();
                let servers = servers.into_iter().map(|server| LbAsDetails { in_use_since: 0, ..server });
                (vips, servers.collect::<Vec<_>>())
            }
        };
        let (real, simulated) = (of(&self.real).await, of(&self.simulated).await);
        assert_eq!(simulated, real);
        rows += real.0.len() + real.1.len();
        for command in ["show lb vips verbose", "show lb vips", "show lb"] {
            let [real, simulated] = self.text(command).await;
            assert_eq!(simulated, real);
            rows += real.lines().count();
        }
        rows
    }
}

/// The index of a server's route depends on what else VPP routes.
fn routes_removed(text: &str) -> String {
    let word = |word: &str| if word.starts_with("dpo:") { "dpo".to_owned() } else { word.to_owned() };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn pick<T: Clone>(rng: &mut fastrand::Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())].clone()
}

fn some_vip(rng: &mut fastrand::Rng, known: &[VipId]) -> VipId {
    if !known.is_empty() && rng.u8(..8) > 0 {
        return pick(rng, known);
    }
    let vips = ["203.0.113.10", "203.0.113.11", "203.0.113.77", "2001:db8:1::1", "2001:db8:2::5"];
    let address: IpAddr = pick(rng, &vips).parse().unwrap();
    // Plain lengths of IPv4 too, which VPP takes for IPv6.
    let lengths: &[u8] = if address.is_ipv4() { &[128, 128, 128, 124, 120, 32] } else { &[128, 128, 64] };
    let (protocol, port) = pick(rng, &[(6, 80), (6, 443), (17, 80), (17, 53), (0, 0), (6, 0)]);
    VipId { prefix: Prefix { address, length: pick(rng, lengths) }, protocol, port }
}

fn server(rng: &mut fastrand::Rng) -> IpAddr {
    let servers =
        ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "2001:db8:f::1", "2001:db8:f::2", "2001:db8:f::3"];
    pick(rng, &servers).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_vpp_26_06_answers_like_the_simulator() {
    let Some(run_dir) = real_vpp() else { return eprintln!("skipped: MAGLEV_VPP_RUN_DIR names no VPP") };
    let options = ConnectOptions { name: "side by side".to_owned(), ..ConnectOptions::default() };
    let real = Client::connect(run_dir.join("api.sock"), options).await.unwrap();
    let table = real.table();
    if table.id(LbAddDelAs::NAME_CRC).is_none() || table.id(LbAsSetWeight::NAME_CRC).is_some() {
        return eprintln!("skipped: this VPP does not have lb API 1.1.0");
    }
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &["--lb-api", "1.1.0", "--no-datapath"]).await;
    let mut both = Both { real, simulated: vppsim.client().await, vips: Vec::new() };
    let requests = std::env::var("MAGLEV_REQUESTS").map_or(REQUESTS, |count| count.parse().unwrap());
    let mut rng = fastrand::Rng::with_seed(2606);
    let (mut rows, mut refused) = (both.compare().await, 0);
    for number in 1..=requests {
        let retval = match rng.u8(..20) {
            0..=3 => {
                let vip = some_vip(&mut rng, &both.vips);
                let is_del = rng.u8(..5) == 0;
                // VPP takes the encap as the processor has it.
                let encap =
                    pick(&mut rng, &[0, 1_u32.swap_bytes(), 1_u32.swap_bytes(), 0, 1, 2_u32.swap_bytes()]);
                let length = pick(&mut rng, &[16, 64, 1024, 4096, 1000]);
                let src_ip_sticky = rng.bool();
                let gre = LbAddDelVipV2::gre(vip, Encap::from(encap), length);
                let retval = both.call(LbAddDelVipV2 { is_del, src_ip_sticky, ..gre }).await;
                match (retval, is_del) {
                    (0, true) => both.vips.retain(|known| *known != vip),
                    (0, false) => both.vips.push(vip),
                    _ => {}
                }
                retval
            }
            4..=17 => {
                let (vip, as_address) = (some_vip(&mut rng, &both.vips), server(&mut rng));
                let (is_del, is_flush) = (rng.u8(..3) == 0, rng.bool());
                both.call(LbAddDelAs { vip, as_address, is_del, is_flush }).await
            }
            // Never of a VIP that is not there: VPP would flush something undefined.
            18 if !both.vips.is_empty() => {
                let mut vip = pick(&mut rng, &both.vips);
                if let IpAddr::V4(address) = vip.prefix.address {
                    vip.prefix.address = address.to_ipv6_compatible().into();
                }
                both.call(LbFlushVip { vip }).await
            }
            _ => {
                let sticky_buckets_per_core = pick(&mut rng, &[1024, 4096, 1000, u32::MAX]);
                let flow_timeout = pick(&mut rng, &[40, 60, u32::MAX]);
                let (ip4_src_address, ip6_src_address) =
                    ([10, 0, 0, 254].into(), std::net::Ipv6Addr::LOCALHOST);
                both.call(LbConf { ip4_src_address, ip6_src_address, sticky_buckets_per_core, flow_timeout })
                    .await
            }
        };
        refused += usize::from(retval != 0);
        if number % PERIOD == 0 {
            rows += both.compare().await;
        }
    }
    eprintln!(
        "{requests} requests, {refused} refused, {rows} rows and lines of dumps and texts: all the same"
    );
}
