//! A reload leaves alone what is equal, and nothing else.

use proptest::prelude::*;

use super::events::{carry_out, configurations, steps};
use super::*;
use crate::core::Reload;

/// Everything that a reload decides about a frontend.
fn decided(core: &Core, name: &str) -> String {
    let view = core.frontends.get(name).unwrap();
    let FrontendView { frontend, table, weights, below_min_up, spec, sync, since: _, table_length } = &**view;
    format!("{:?}", (frontend, table, weights, below_min_up, spec, sync, table_length))
}

fn check_whole(core: &Core, now: Now) -> Result<(), TestCaseError> {
    let names = core.frontends.names();
    prop_assert!(names.iter().map(|name| &**name).eq(core.config.frontends.keys()));
    let mut remade = core.clone();
    for name in &names {
        remade.remake(name, now, &mut Effects::default());
        prop_assert_eq!(decided(&remade, name), decided(core, name));
        let key = core.frontends.get(name).unwrap().spec.key;
        prop_assert_eq!(core.frontends.name_of(&key), Some(name));
    }
    prop_assert!(core.backends.views().keys().map(|name| &**name).eq(core.config.backends.keys()));
    let users = crate::config::references::users(&core.config);
    for (name, view) in core.backends.views() {
        let used_by: Vec<&str> = view.frontends.iter().map(|frontend| &**frontend).collect();
        prop_assert_eq!(used_by, users.get(&**name).cloned().unwrap_or_default());
        let checks = core.config.backends[&**name].healthchecks.iter();
        let checks: Vec<_> = checks.map(|check| Arc::as_ptr(&core.checks[check])).collect();
        let counters = view.checks.iter().filter_map(|check| check.durations.as_ref());
        prop_assert_eq!(counters.map(Arc::as_ptr).collect::<Vec<_>>(), checks);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_a_reload_concerns_is_left_as_it_was(steps in steps(), reload in 0..9usize) {
        let configurations = configurations();
        let mut bench = Bench::with(Arc::clone(&configurations[0]), Overrides::default());
        for step in steps {
            carry_out(&mut bench, step, &configurations);
        }
        let mut prepared = bench.core.clone();
        bench.command(Command::Reload(Arc::clone(&configurations[reload]).into())).unwrap();
        check_whole(&bench.core, bench.now)?;
        let command = Command::Reload(Reload::prepared((*configurations[reload]).clone(), prepared.config()));
        prepared.command(command, bench.now).unwrap();
        check_whole(&prepared, bench.now)?;
        for name in prepared.frontends.names() {
            prop_assert_eq!(decided(&prepared, &name), decided(&bench.core, &name));
        }
        prop_assert_eq!(prepared.wanted(), bench.core.wanted());
    }
}

#[test]
fn frontends_that_no_change_concerns_keep_their_very_views() {
    let mut bench = Bench::connected();
    bench.all_up();
    let before = bench.core.frontends.clone();
    let backends = BACKENDS.replace("10.0.0.3, healthcheck: tcp", "10.0.0.3, healthcheck: other");
    let config = configuration(AT_ONCE, &backends, FRONTENDS);
    let reload = Reload::prepared((*config).clone(), bench.core.config());
    bench.command(Command::Reload(reload)).unwrap();
    let same = |name: &str| Arc::ptr_eq(before.get(name).unwrap(), bench.core.frontends.get(name).unwrap());
    assert_eq!(["one", "two", "three"].map(same), [false, true, true]);
}

/// Between the comparison and the reload, another one may have come.
#[test]
fn comparison_with_another_configuration_is_not_used() {
    let mut bench = Bench::connected();
    bench.all_up();
    let fewer = FRONTENDS.replace("    three:", "    drei:");
    let reload =
        Reload::prepared((*configuration(AT_ONCE, BACKENDS, FRONTENDS)).clone(), bench.core.config());
    bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, &fewer).into())).unwrap();
    let (_, done) = bench.command(Command::Reload(reload)).unwrap();
    assert_eq!(done.changes.unwrap().to_string(), "1 frontend added (three), 1 removed (drei)");
    check_whole(&bench.core, bench.now).unwrap();
}

/// Until VPP is known, the configuration says which lb API it has, on which all tables depend.
#[test]
fn another_lb_api_concerns_every_frontend() {
    let mut bench = Bench::new(AT_ONCE);
    let older = configuration(&format!("{AT_ONCE}, vpp-lb-api: 1.1"), BACKENDS, FRONTENDS);
    bench.command(Command::Reload(older.into())).unwrap();
    check_whole(&bench.core, bench.now).unwrap();
}
