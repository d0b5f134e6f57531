//! `check backend`.

use maglev_proto::words::{self, Word};
use maglev_proto::{CheckBackendResponse, Hop, HopState, ProbeResult, TunnelHop, TunnelPath};

use super::{Toned, counted, service};
use crate::moment::took;
use crate::style::{Palette, Tone, printable};
use crate::table::wrapped;

/// Width of a state's word and the space after it.
const STATE: usize = 9;

/// A line for each health check; or for each hop to each VIP, with what would be right below one that fails.
pub(super) fn backend(checked: &CheckBackendResponse, palette: Palette) -> String {
    let heading = format!("backend {}, {}", printable(&checked.backend), printable(&checked.address));
    let mut text = format!("{}\n", palette.paint(Tone::Heading, &heading));
    let labels = checked.checks.iter().map(|check| check.healthcheck.chars().count());
    let width = labels.max().unwrap_or(0) + 2;
    for check in &checked.checks {
        let result = check.result.clone().unwrap_or_default();
        let state = match (result.passed, result.code.as_str()) {
            (true, _) => HopState::Ok,
            (false, "SOCKERR") => HopState::Unknown,
            (false, _) => HopState::Failed,
        };
        let words = format!("{} ({})", found(&result), took(result.duration_ms));
        text += &line(&check.healthcheck, width, state, &[words], palette);
    }
    text.extend(checked.paths.iter().map(|path| path_lines(path, palette)));
    if checked.left_out > 0 {
        let left_out = counted(checked.left_out.into(), "frontend");
        let words = format!("no time was left for {left_out}: name one, as in `via tunnel frontend NAME`");
        text.extend(wrapped(&words, palette.width()).iter().map(|line| format!("{line}\n")));
    }
    text
}

fn path_lines(path: &TunnelPath, palette: Palette) -> String {
    let service = service(&printable(&path.protocol), path.port);
    let mut text = format!("\nfrontend {}, {} {service}\n", printable(&path.frontend), printable(&path.vip));
    let width = "listener".len() + 2;
    for hop in &path.hops {
        text += &line(words::of::<Hop>(hop.hop), width, hop.state(), &hop_words(hop), palette);
    }
    text
}

/// What is told of a hop: if it works, what that proves; otherwise what was found, and what would be right.
fn hop_words(hop: &TunnelHop) -> Vec<String> {
    let by = match hop.healthcheck.as_str() {
        "" => String::new(),
        check => format!("{}: ", printable(check)),
    };
    let meaning = printable(&hop.meaning);
    match &hop.result {
        Some(result) if hop.state() == HopState::Ok && result.passed => {
            vec![format!("{by}{meaning} ({})", took(result.duration_ms))]
        }
        Some(result) if hop.state() != HopState::Ok => vec![format!("{by}{}", found(result)), meaning],
        _ => vec![format!("{by}{meaning}")],
    }
}

fn found(result: &ProbeResult) -> String {
    let detail = printable(&result.detail);
    let separator = if detail.is_empty() { "" } else { ": " };
    format!("{}{separator}{detail}", printable(&result.code))
}

/// Label, state and sentences, each of which begins on a line of its own.
fn line(label: &str, width: usize, state: HopState, sentences: &[String], palette: Palette) -> String {
    let indent = 2 + width + STATE;
    let room = palette.width().map(|page| page.saturating_sub(indent));
    let lines: Vec<_> = sentences.iter().flat_map(|sentence| wrapped(sentence, room)).collect();
    let word = state.word();
    let padding = " ".repeat(STATE.saturating_sub(word.len()));
    let mut text = format!("  {:width$}{}{padding}", printable(label), palette.paint(state.tone(), word));
    text += &lines.join(&format!("\n{}", " ".repeat(indent)));
    text + "\n"
}
