use super::*;
use crate::render::tests::{COLORED, PLAIN};
use crate::samples;

const DOCUMENTATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maglevc.md"));

fn text(palette: Palette) -> String {
    samples::events().iter().map(|one| event(one, palette)).collect()
}

#[test]
fn every_kind_has_its_line() {
    let text = text(PLAIN);
    assert_eq!(text, "\
2026-11-21T03:12:03.250Z  agent          connected  version 0.2.0
2026-11-21T03:12:03.250Z  vpp            connected  version 26.10-rc0~374
2026-11-21T03:12:03.250Z  backend        web1  up  L7OK: HTTP 200
2026-11-21T03:12:03.250Z  frontend       shop  up  active pool primary
2026-11-21T03:12:03.250Z  watching       current state above, live changes below
2026-11-21T04:11:53.250Z  fleet          rollout of revision 8: soaking
2026-11-21T04:11:54.250Z  log            warn  maglev_brain::probe: no answer backend=web1
2026-11-21T04:11:54.250Z  backend        web1  up -> down  L4TOUT: no answer in 1.5s
2026-11-21T04:11:54.250Z  frontend       shop  active pool primary -> fallback
2026-11-21T04:11:55.250Z  frontend       shop  up -> down
2026-11-21T04:11:56.250Z  vpp            disconnected: connection reset by peer
2026-11-21T04:11:57.250Z  configuration  1 backend added (web4)  by anna (uid 1000)
2026-11-21T04:11:58.250Z  missed         12 events missed, since they were read too slowly; the current state follows
");
    assert!(DOCUMENTATION.contains(&text), "docs/maglevc.md lacks:\n{text}");
}

#[test]
fn states_are_colored() {
    let text = text(COLORED);
    for part in ["up -> \x1b[31mdown\x1b[0m", "\x1b[33mwarn\x1b[0m", "\x1b[31m12 events missed"] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

/// Text of a backend or a log line must neither control the terminal nor start another line.
#[test]
fn an_event_is_one_line_whatever_it_says() {
    let mut hostile = samples::events();
    for one in &mut hostile {
        match &mut one.what {
            Some(What::Backend(change)) => change.cause = "a\nb\x1b[2J".into(),
            Some(What::Log(line)) => line.fields[0].value = "c\nd".into(),
            Some(What::Configuration(change)) => change.changes = "e\nf".into(),
            Some(What::Fleet(news)) => news.text = "k\nl".into(),
            Some(What::Vpp(vpp)) => (vpp.reason, vpp.version) = ("g\nh".into(), "i\nj".into()),
            _ => {}
        }
        let line = event(one, PLAIN);
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
        assert!(!line.contains('\x1b'), "{line}");
    }
}

#[test]
fn events_of_a_newer_brain_are_told_as_such() {
    let line = event(&Event::default(), PLAIN);
    assert!(line.contains("an event that this maglevc does not know"), "{line}");
    let removed = FrontendEvent {
        frontend: "shop".into(),
        changed: Some(Changed::Removed(true)),
        ..FrontendEvent::default()
    };
    let panic = FrontendEvent {
        frontend: "shop".into(),
        panic_pool: "primary".into(),
        changed: Some(Changed::PreviousPanicPool(String::new())),
        ..FrontendEvent::default()
    };
    let line = |change| event(&Event { what: Some(What::Frontend(change)), ..Event::default() }, PLAIN);
    let capacity = |below_min_up| PoolCapacity {
        pool: "primary".into(),
        up: 1,
        backends: 3,
        min_up: Some(2),
        below_min_up,
    };
    let min_up = |below| FrontendEvent { changed: Some(Changed::MinUp(capacity(below))), ..panic.clone() };
    let below = "shop  pool primary below its min-up: 1 of 3 up, min-up 2\n";
    assert!(line(min_up(true)).ends_with(below), "{}", line(min_up(true)));
    assert!(line(min_up(false)).contains("  pool primary no longer below its min-up: "));
    assert!(line(removed).ends_with("shop  removed from the configuration\n"));
    assert!(line(panic).ends_with("shop  panic none -> primary\n"));
}
