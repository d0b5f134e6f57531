use std::time::UNIX_EPOCH;

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::parse;
use maglev_engine::core::{Command, Core, Input, Now};
use maglev_engine::fleet::records::Digest;
use maglev_engine::overrides::{Overrides, PoolMember};
use maglev_protocol::{AgentInfo, AgentPolicy, SyncReport, VppInfo};

use super::*;

const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  backends: { web1: { address: 10.0.0.1 }, web2: { address: 10.0.0.2 } }
  frontends:
    shop:
      address: 203.0.113.10
      protocol: tcp
      port: 80
      pools: [ { name: primary, backends: { web1: {}, web2: { weight: 50 } } } ]
";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn vip(last: u8) -> VipKey {
    VipKey::port([203, 0, 113, last].into(), 6, 80)
}

fn only(tables: &Tables) -> Digest {
    let [digest] = tables.vips[..] else { panic!("{tables:?}") };
    digest
}

#[test]
fn a_decision_counts_when_vpp_has_acknowledged_it() {
    let now = Now { wall: UNIX_EPOCH, mono: Instant::now().into_std() };
    let config = Arc::new(parse("test.yaml", CONFIG).unwrap().config);
    let mut core = Core::new(config, Overrides::default(), "agent.sock".into(), now);
    let mut acknowledged = Acknowledged::default();
    let mut digest = |core: &Core| only(&acknowledged.digest(&core.snapshot(now.mono)));
    let found = digest(&core);
    assert_eq!((found.vip, found.length, found.servers), (vip(10), 0, 0));

    let info = AgentInfo { pid: 1, started: 1, no_echo: None, policy: AgentPolicy::default() };
    core.handle(
        Input::Agent(AgentEvent::Connected { version: "1.2.3".into(), protocol: 5, info: info.clone() }),
        now,
    );
    let vpp = |state, view| {
        let programmed = (maglev_engine::desired::ViewId(view), Programmed::default());
        let is_there = matches!(state, VppState::Connected { .. });
        let programmed = Some(programmed).filter(|_| is_there);
        Input::Agent(AgentEvent::Vpp { info: VppInfo { generation: view, state }, programmed })
    };
    core.handle(vpp(VppState::sample(7, Some(900)), 1), now);
    let sync = |core: &mut Core| {
        let specs = core.wanted().vips.values().map(Arc::clone).collect();
        let result = Ok(Arc::new(SyncReport::default()));
        core.handle(Input::Agent(AgentEvent::Synced { specs, demanded: None, result }), now);
    };
    sync(&mut core);
    let before = digest(&core);
    assert!(before.length > 0 && before.programmed == before.decided, "{before:?}");
    assert_eq!(before.servers, 2);

    let member = PoolMember { frontend: "shop".into(), pool: "primary".into(), backend: "web2".into() };
    core.command(Command::SetWeight { member, weight: 10, flush: false }, now).unwrap();
    assert_eq!(digest(&core), before, "VPP has the former weights");
    sync(&mut core);
    let after = digest(&core);
    assert!(after.programmed != before.programmed && after.programmed == after.decided, "{after:?}");

    // The agent alone changes nothing in VPP.
    core.handle(Input::Agent(AgentEvent::Disconnected { reason: "it restarts".to_owned() }), now);
    assert_eq!(digest(&core).programmed, after.programmed);
    core.handle(Input::Agent(AgentEvent::Connected { version: "1.2.3".into(), protocol: 5, info }), now);
    let gone = VppState::Disconnected { reason: "it has crashed".to_owned(), silent_ms: 0 };
    core.handle(vpp(gone, 2), now);
    let found = digest(&core);
    assert_eq!((found.length, found.servers), (0, 0), "VPP has lost it");
}

#[test]
fn members_that_differ_are_named_with_what_they_have() {
    let digest =
        |last, programmed| Digest { vip: vip(last), length: 1024, programmed, servers: 2, decided: 1 };
    let tables = |digests: &[Digest]| Arc::new(Tables { vips: digests.to_vec() });
    let since = Instant::now().into_std();
    let compared = Compared {
        own: tables(&[digest(1, 1), digest(2, 1)]),
        others: [
            (name("lb2"), tables(&[digest(1, 1), digest(2, 9)])),
            (name("lb3"), tables(&[digest(1, 1), digest(2, 1), digest(3, 1)])),
        ]
        .into(),
        found: [((vip(2), name("lb2")), Reason::Intent), ((vip(3), name("lb3")), Reason::Config)].into(),
        standing: [((vip(2), name("lb2")), (since, Reason::Intent))].into(),
    };
    let vips = compared.vips();
    assert_eq!(vips[&vip(1)], TableStatus { own: Some(digest(1, 1)), equal: 3, differences: Vec::new() });
    let two = &vips[&vip(2)];
    assert_eq!((two.equal, two.differences.len()), (2, 1));
    let other = &two.differences[0];
    assert_eq!((other.is_lasting, other.digest), (true, Some(digest(2, 9))));
    let three = &vips[&vip(3)];
    assert_eq!((three.own, three.equal), (None, 2), "lb2 does not have it either");
    assert_eq!((three.differences[0].is_lasting, three.differences[0].digest), (false, Some(digest(3, 1))));

    let standing = compared.standing(since + Duration::from_secs(70));
    let lasts = Duration::from_secs(70);
    let expected = Difference { vip: vip(2), member: name("lb2"), lasts, reason: Reason::Intent };
    assert_eq!(standing, [expected]);
}
