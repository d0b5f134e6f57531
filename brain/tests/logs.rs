//! The process-wide log: there is only one, so there is only one test.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use maglev_brain::logs::{self, LogError};
use maglev_daemon::log::Format;
use tracing::level_filters::LevelFilter;
use tracing::{Level, enabled, info};

fn line(cost: impl FnOnce() -> u32) {
    info!(target: "maglev_brain::test", cost = cost(), "a line that the log does not get");
}

#[test]
fn tap_costs_nothing_until_somebody_asks() {
    let error = logs::start("info=what", Format::Logfmt).unwrap_err();
    assert!(error.to_string().starts_with("--log-level info=what: "), "{error}");
    let tap = logs::start("error", Format::Logfmt).unwrap();
    assert!(matches!(logs::start("error", Format::Logfmt), Err(LogError::Started(_))));

    let unheard = || -> u32 { panic!("nobody asked") };
    // Only the filter determines the level.
    assert_eq!(LevelFilter::current(), LevelFilter::ERROR);
    assert!(!enabled!(target: "maglev_brain::test", Level::INFO));
    line(unheard);

    let (mut lines, asked) = (tap.lines(), tap.ask(Level::INFO));
    assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    line(|| 7);
    assert_eq!(lines.try_recv().unwrap().fields, [("cost", "7".to_owned())]);

    drop(asked);
    assert_eq!(LevelFilter::current(), LevelFilter::ERROR);
    line(unheard);
    assert!(lines.try_recv().is_err());
}
