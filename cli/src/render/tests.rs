use maglev_proto::{ListBackendsResponse, ListFrontendsResponse, ListHealthChecksResponse};

use super::*;
use crate::answer::Versions;
use crate::samples::{self, NOW};
use crate::style::Color;

pub(super) const PLAIN: Palette = Palette::of(false);
pub(super) const COLORED: Palette = Palette::of(true);

const DOCUMENTATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maglevc.md"));

fn answers() -> Vec<Answer> {
    vec![
        Answer::Frontends(ListFrontendsResponse {
            frontends: samples::frontends(),
            problems: samples::problems(),
        }),
        Answer::Frontend(samples::shop()),
        Answer::Backends(ListBackendsResponse { backends: samples::backends() }),
        Answer::Backend(samples::web2()),
        Answer::HealthChecks(ListHealthChecksResponse { healthchecks: samples::health_checks() }),
        Answer::HealthCheck(samples::health_checks().remove(0)),
        Answer::Agent(samples::agent()),
        Answer::Versions(Versions::of(&samples::status(), &samples::vpp_info_with_agent())),
        Answer::VppLbCounters(samples::vpp_lb_counters()),
        Answer::Synced(samples::synced()),
        Answer::VppInfo(samples::vpp_info()),
        Answer::VppLbState(samples::vpp_lb_state()),
        Answer::Status(samples::status()),
        Answer::Overrides(samples::overrides()),
        Answer::Routes(samples::routes()),
        Answer::BackendProbed(samples::checked_now()),
        Answer::BackendProbed(samples::checked_through()),
        Answer::BackendChanged(samples::paused()),
        Answer::WeightSet(samples::weight_set()),
        Answer::Cleared(samples::cleared()),
        Answer::Recreated(samples::recreated()),
        Answer::Checked(samples::checked()),
        Answer::Reloaded(samples::reloaded()),
        Answer::Fleet(samples::fleet()),
        Answer::FleetTables(samples::fleet_tables()),
        Answer::FleetConfigs(samples::fleet_configs()),
        Answer::FleetCompared(samples::fleet_compared()),
    ]
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1)
}

#[test]
fn colors_change_nothing_else() {
    for answer in answers() {
        let colored = text(&answer, Moment(NOW), COLORED);
        assert!(colored.contains("\x1b["), "{colored}");
        assert_eq!(without_colors(&colored), text(&answer, Moment(NOW), PLAIN));
    }
}

#[test]
fn no_line_ends_in_blanks_and_the_last_is_ended() {
    for answer in answers() {
        let text = text(&answer, Moment(NOW), PLAIN);
        assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text}");
    }
}

#[test]
fn documentation_shows_what_is_really_printed() {
    let palette = Palette::choose(Color::Never, true, None, None).within(Some(80));
    let texts = answers().into_iter().map(|answer| text(&answer, Moment(NOW), palette));
    let missing: Vec<_> = texts.filter(|text| !DOCUMENTATION.contains(text)).collect();
    assert!(missing.is_empty(), "docs/maglevc.md lacks:\n{}", missing.join("---\n"));
}

/// Except for quoted lines of files, and the sentence about a change.
#[test]
fn every_answer_fits_80_columns() {
    for answer in answers() {
        let text = text(&answer, Moment(NOW), PLAIN.within(Some(80)));
        let is_sentence =
            matches!(answer, Answer::BackendChanged(_) | Answer::WeightSet(_) | Answer::Cleared(_));
        let is_shown_as_it_is = |line: &str| is_sentence || line.contains(" | ") || line.contains(".yaml");
        let too_wide = text.lines().find(|line| line.chars().count() > 80 && !is_shown_as_it_is(line));
        assert_eq!(too_wide, None, "{text}");
    }
}

#[test]
fn tones_follow_the_states() {
    let tones = [BackendState::Up, BackendState::Down, BackendState::Paused, BackendState::Disabled]
        .map(|state| state.tone());
    assert_eq!(tones, [Tone::Good, Tone::Bad, Tone::Warning, Tone::Faint]);
    let tones = [FrontendState::Up, FrontendState::Down, FrontendState::Unknown].map(|state| state.tone());
    assert_eq!(tones, [Tone::Good, Tone::Bad, Tone::Warning]);
    let tones = [SyncState::Synced, SyncState::Failed, SyncState::HeldBack, SyncState::Pending]
        .map(|state| state.tone());
    assert_eq!(tones, [Tone::Good, Tone::Bad, Tone::Warning, Tone::Warning]);
    assert_eq!(state::<BackendState>(99), Cell::toned("unspecified", Tone::Warning));
}
