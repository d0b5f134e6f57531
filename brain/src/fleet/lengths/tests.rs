use std::time::UNIX_EPOCH;

use maglev_engine::agent::AgentEvent;
use maglev_engine::config::parse;
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::desired::ViewId;
use maglev_engine::overrides::Overrides;
use maglev_protocol::{Programmed, SyncReport, VppInfo, VppState};
use tokio::time::Instant;

use super::*;

/// A VIP of this configuration, before or after VPP has acknowledged it.
fn snapshot(frontend: &str, is_synced: bool) -> Snapshot {
    let text = format!(
        "
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  backends: {{ a: {{ address: 10.0.0.1 }} }}
  frontends: {{ www: {{ address: 203.0.113.1, {frontend} pools: [ {{ name: p, backends: {{ a: {{}} }} }} ] }} }}
"
    );
    let config = parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    let now = Now { wall: UNIX_EPOCH, mono: Instant::now().into_std() };
    let mut core = Core::new(Arc::new(config), Overrides::default(), "agent.sock".into(), now);
    let info = VppInfo { generation: 1, state: VppState::sample(1, None) };
    let programmed = Some((ViewId(1), Programmed::default()));
    core.handle(Input::Agent(AgentEvent::Vpp { info, programmed }), now);
    if is_synced {
        let specs = core.frontends().map(|(_, view)| Arc::clone(&view.spec)).collect();
        let result = Ok(Arc::new(SyncReport::default()));
        core.handle(Input::Agent(AgentEvent::Synced { specs, demanded: None, result }), now);
    }
    core.snapshot(now.mono)
}

#[test]
fn a_length_is_written_if_there_is_none_or_if_it_is_configured() {
    let synced = snapshot("", true);
    let view = &synced.frontends["www"];
    let (vip, length) = (view.spec.key, view.table_length.unwrap());
    let known = |length: u32| [(vip, length)].into();
    assert_eq!(due(&synced, &BTreeMap::new()), [(vip, length)]);
    assert_eq!(due(&synced, &known(length)), []);
    assert_eq!(due(&synced, &known(2 * length)), [], "members that differ do not take turns");
    assert_eq!(due(&snapshot("", false), &BTreeMap::new()), [], "VPP has not acknowledged it");
    let configured = snapshot("new-flows-table-length: 4096,", true);
    assert_eq!(due(&configured, &known(length)), [(vip, 4096)]);
    assert_eq!(due(&configured, &known(4096)), []);
}
