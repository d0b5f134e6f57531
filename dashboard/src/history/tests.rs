use super::*;

fn vip(known: u64, new: u64) -> VipCounters {
    VipCounters { existing_sessions: known, first_session: new, ..VipCounters::default() }
}

#[test]
fn rates_are_differences_over_the_time_between() {
    let mut traffic = Traffic::default();
    assert_eq!(traffic.count(1_000, &vip(100, 10)), None);
    assert_eq!(traffic.count(6_000, &vip(580, 30)), Some(Rate { packets: 100.0, new_flows: 4.0 }));
    assert_eq!(traffic.count(6_000, &vip(580, 30)), None, "the same figures once more");
    assert_eq!(traffic.count(6_040, &vip(580, 30)), None, "the same reading, by clocks that differ a little");
    assert_eq!(traffic.count(11_000, &vip(3, 1)), None, "the VIP was re-created");
    assert_eq!(traffic.samples(), json!([[6_000, 100.0, 4.0]]));
}

#[test]
fn memory_of_both_is_bounded() {
    let (mut traffic, mut probes) = (Traffic::default(), Probes::default());
    for second in 1..1_000_u64 {
        traffic.count(second * 1_000, &vip(second, second));
        let probe = ProbeResult { at_unix_ms: second, passed: true, ..ProbeResult::default() };
        probes.add(&probe);
        probes.add(&probe);
    }
    assert_eq!(traffic.samples().as_array().unwrap().len(), SAMPLES);
    assert_eq!(probes.samples().as_array().unwrap().len(), PROBES);
}
