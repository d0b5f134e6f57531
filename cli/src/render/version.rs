//! `show version`.

use crate::answer::{Component, Versions};
use crate::style::{Palette, Tone};
use crate::table::{Cell, Properties};

/// A line each.
pub(super) fn versions(versions: &Versions, palette: Palette) -> String {
    let mut properties = Properties::default();
    properties
        .put("maglevc", Cell::new(&versions.maglevc))
        .put("maglev-brain", component(&versions.maglev_brain, None))
        .put("maglev-dpagent", component(&versions.maglev_dpagent, versions.agent_protocol))
        .put("VPP", component(&versions.vpp, None));
    properties.render(palette)
}

fn component(component: &Component, protocol: Option<u32>) -> Cell {
    match (&component.version, protocol) {
        (Some(version), Some(protocol)) => Cell::new(format!("{version}, protocol {protocol}")),
        (Some(version), None) => Cell::new(version),
        (None, _) => Cell::toned(component.reason.as_deref().unwrap_or("not known"), Tone::Warning),
    }
}

#[cfg(test)]
mod tests;
