use tokio::sync::broadcast::error::TryRecvError;
use tracing::subscriber::with_default;
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::*;

/// Runs a test with a tap, and with a daemon that logs nothing itself.
fn tapped(test: impl FnOnce(LogTap)) {
    let _alone = ALONE.blocking_lock();
    let tap = LogTap::default();
    let silent = fmt::layer().with_writer(std::io::sink).with_filter(EnvFilter::new("error"));
    with_default(registry().with(silent).with(tap.layer()), || test(tap));
}

fn next(lines: &mut broadcast::Receiver<Arc<Line>>) -> Line {
    Line::clone(&lines.try_recv().unwrap())
}

#[test]
fn fields_keep_their_order_and_the_message_stands_apart() {
    tapped(|tap| {
        let (mut lines, _asked) = (tap.lines(), tap.ask(Level::INFO));
        let wrong = std::io::Error::other("no room");
        let wrong: &dyn std::error::Error = &wrong;
        info!(zone = "b", count = 3, %wrong, error = wrong, names = ?["x", "y"], flag = true, "what {} says", "it");
        let line = next(&mut lines);
        assert_eq!((line.level, line.message.as_str()), (Level::INFO, "what it says"));
        assert_eq!(line.target, module_path!());
        let fields: Vec<_> = line.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected = [
            ("zone", "b"),
            ("count", "3"),
            ("wrong", "no room"),
            ("error", "no room"),
            ("names", r#"["x", "y"]"#),
            ("flag", "true"),
        ];
        assert_eq!(fields, expected);
    });
}

#[test]
fn level_is_the_most_talkative_that_is_asked_for() {
    tapped(|tap| {
        let mut lines = tap.lines();
        let mut said = || {
            error!("e");
            warn!("w");
            info!("i");
            debug!("d");
            trace!("t");
            std::iter::from_fn(|| lines.try_recv().ok()).map(|line| line.message.clone()).collect::<String>()
        };
        assert_eq!(said(), "");
        let warn = tap.ask(Level::WARN);
        assert_eq!(said(), "ew");
        let trace = tap.ask(Level::TRACE);
        let debug = tap.ask(Level::DEBUG);
        assert_eq!(said(), "ewidt");
        drop(trace);
        assert_eq!(said(), "ewid");
        drop(warn);
        assert_eq!(said(), "ewid");
        drop(debug);
        assert_eq!(said(), "");
    });
}

#[test]
fn hint_is_off_while_nobody_asks() {
    tapped(|tap| {
        let filter: &dyn Filter<tracing_subscriber::Registry> = &Taken(tap.clone());
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::OFF));
        let asked = tap.ask(Level::INFO);
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::INFO));
        drop(asked);
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::OFF));
    });
}

#[test]
fn only_lines_of_this_program_are_taken() {
    tapped(|tap| {
        let (mut lines, _asked) = (tap.lines(), tap.ask(Level::TRACE));
        trace!(target: "h2::codec", "a frame was sent");
        error!(target: "tonic", "a frame was not sent");
        info!(target: "maglev_brain::agent", "ours");
        assert_eq!(next(&mut lines).target, "maglev_brain::agent");
        assert_eq!(lines.try_recv().unwrap_err(), TryRecvError::Empty);
    });
}

#[test]
fn one_who_falls_behind_is_told_how_many_lines_are_lost() {
    tapped(|tap| {
        let (mut lines, _asked) = (tap.lines(), tap.ask(Level::INFO));
        for number in 0..LINES + 7 {
            info!(number);
        }
        assert_eq!(lines.try_recv().unwrap_err(), TryRecvError::Lagged(7));
        assert_eq!(next(&mut lines).fields, [("number", "7".to_owned())]);
    });
}
