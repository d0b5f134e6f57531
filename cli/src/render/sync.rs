//! `sync vpp lb state`.

use maglev_proto::{SyncVpplbStateResponse, VipSync};

use super::counted;
use crate::style::{Palette, Tone, printable};

/// Writes and refusals of each VIP, other findings, then a summary.
pub(super) fn synced(sync: &SyncVpplbStateResponse, palette: Palette) -> String {
    let mut text: String = sync.vips.iter().map(|vip| vip_lines(vip, palette)).collect();
    let lists = [
        ("Somebody else changed VPP; drift from what was programmed:", &sync.drift),
        ("Left as they are, since the warm-up does not release them yet:", &sync.held_back),
        ("Left as they are, since they are outside the agent's policy:", &sync.foreign),
    ];
    for (heading, entries) in lists {
        if !entries.is_empty() {
            text.push_str(&format!("{}\n", palette.paint(Tone::Warning, heading)));
            text.extend(entries.iter().map(|entry| format!("  {}\n", printable(entry))));
        }
    }
    let (changes, errors) = sync
        .vips
        .iter()
        .fold((0, 0), |(changes, errors), vip| (changes + vip.changes.len(), errors + vip.errors.len()));
    let read = format!(
        "{} and {} compared",
        counted(sync.vips_read.into(), "VIP"),
        counted(sync.application_servers_read.into(), "application server"),
    );
    let changes = changes + usize::from(sync.settings_written);
    if sync.settings_written {
        text.push_str("lb settings written\n");
    }
    let errors = errors + usize::from(!sync.settings_refused.is_empty());
    if !sync.settings_refused.is_empty() {
        let line = format!("lb settings refused: {}", printable(&sync.settings_refused));
        text.push_str(&format!("{}\n", palette.paint(Tone::Bad, &line)));
    }
    let verdict = match (changes, errors) {
        (0, 0) => palette.paint(Tone::Good, "nothing to write").into_owned(),
        (writes, 0) => palette.paint(Tone::Good, &counted(writes as u64, "write")).into_owned(),
        (writes, errors) => {
            let words = format!("{}, {errors} refused", counted(writes as u64, "write"));
            palette.paint(Tone::Bad, &words).into_owned()
        }
    };
    text.push_str(&format!("VPP: {read}; {verdict}\n"));
    text
}

fn vip_lines(vip: &VipSync, palette: Palette) -> String {
    let frontend = match vip.frontend.as_str() {
        "" => palette.paint(Tone::Warning, "(no frontend)").into_owned(),
        name => palette.paint(Tone::Heading, &printable(name)).into_owned(),
    };
    let mut text = format!("{frontend}  {}\n", printable(&vip.vip));
    text.extend(vip.changes.iter().map(|change| format!("  {}\n", printable(change))));
    for error in &vip.errors {
        let line = format!("refused: {}", printable(error));
        text.push_str(&format!("  {}\n", palette.paint(Tone::Bad, &line)));
    }
    text
}

#[cfg(test)]
mod tests;
