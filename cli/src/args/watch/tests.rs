use proptest::prelude::*;

use super::*;

fn filter(line: &str) -> Result<EventFilter, String> {
    EventFilter::of(line.split_whitespace())
}

#[test]
fn words_come_in_any_order_and_may_be_shortened() {
    assert_eq!(filter(""), Ok(EventFilter::default()));
    let mut wanted = WatchEventsRequest {
        backends: true,
        frontends: true,
        backend_names: vec!["web1".into(), "web2".into()],
        ..WatchEventsRequest::default()
    };
    wanted.set_log_level(LogLevel::Debug);
    let expected = EventFilter { num: 5, wanted };
    for line in [
        "num 5 log level debug backend web1 backend web2 frontend",
        "frontend backend web1 log level debug backend web2 num 5",
        "b web1 l l d b web2 n 5 f",
        "backend web1 b web2 frontend log lev deb num 5",
    ] {
        // `frontend backend web1`: the whole word `backend` is no frontend's name.
        assert_eq!(filter(line).as_ref(), Ok(&expected), "{line}");
    }
}

#[test]
fn log_without_a_level_is_info() {
    for line in ["log", "log num 3", "log connections"] {
        assert_eq!(filter(line).unwrap().wanted.log_level(), LogLevel::Info, "{line}");
    }
    let both = filter("conn conf").unwrap().wanted;
    assert!(both.connections && both.configuration && !both.backends);
}

#[test]
fn mistakes_are_told() {
    for (line, mistake) in [
        ("num", "`num` takes the number of events: a whole number above 0"),
        ("num 0", "`num` takes the number of events: a whole number above 0"),
        ("num -1", "`num` takes the number of events: a whole number above 0"),
        ("log level", "`level` takes one of: error, warn, info, debug, trace"),
        ("log level loud", "`level` takes one of: error, warn, info, debug, trace"),
        ("con", "unexpected `con`; expected one of: num, log, backend, frontend, connections, configuration"),
        (
            "web1",
            "unexpected `web1`; expected one of: num, log, backend, frontend, connections, configuration",
        ),
        (
            "level info",
            "unexpected `level`; expected one of: num, log, backend, frontend, connections, configuration",
        ),
    ] {
        assert_eq!(filter(line), Err(mistake.to_owned()), "{line}");
    }
}

proptest! {
    /// Whatever the line is, names in the filter occur on the line.
    #[test]
    fn nothing_is_made_up(line in "((num|n|log|level|backend|b|frontend|f|connections|web1|5|info) ?){0,8}") {
        if let Ok(EventFilter { wanted, .. }) = filter(&line) {
            let names = wanted.backend_names.iter().chain(&wanted.frontend_names);
            for name in names {
                prop_assert!(line.split_whitespace().any(|word| word == name), "{}", line);
                prop_assert!(!PARTS.contains(&name.as_str()));
            }
        }
    }
}
