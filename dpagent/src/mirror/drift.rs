//! Drift: differences between a read of VPP and the mirror, as text.

use maglev_protocol::VipKey;

use super::{Mirror, MirrorVip};

/// Maximum number of lines. If somebody removed everything by hand, one line per VIP would flood the log.
const MOST_LINES: usize = 200;

impl Mirror {
    /// Differences between this mirror and `found`, in the VIPs for which `ours` is true; one a line, at most
    /// `MOST_LINES`.
    pub fn drift(&self, found: &Self, ours: impl Fn(&VipKey) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, was) in self.vips.iter().filter(|(key, _)| ours(key)) {
            match found.vips.get(key) {
                // A VIP that became indistinguishable is logged elsewhere.
                None if found.set_aside.blocks(key).is_some() => {}
                None => lines.push(format!("VIP {key} is gone")),
                Some(is) => lines.extend(vip_drift(was, is).map(|what| format!("VIP {key}: {what}"))),
            }
        }
        let unknown = found.vips.iter().filter(|(key, _)| ours(key) && !self.vips.contains_key(key));
        lines.extend(unknown.map(|(key, vip)| {
            format!("VIP {key} has appeared, with {} and {} servers", vip.encap, vip.servers.len())
        }));
        if lines.len() > MOST_LINES {
            let more = lines.len() - MOST_LINES;
            lines.truncate(MOST_LINES);
            lines.push(format!("and {more} more differences"));
        }
        lines
    }
}

fn vip_drift<'a>(was: &'a MirrorVip, is: &'a MirrorVip) -> impl Iterator<Item = String> + 'a {
    let made_anew = was.index.is_some() && is.index.is_some() && was.index != is.index;
    let made_anew = made_anew.then(|| "was re-created by somebody else".to_owned());
    let encap = (was.encap != is.encap).then(|| format!("has {} instead of {}", is.encap, was.encap));
    let sticky = was.src_ip_sticky.zip(is.src_ip_sticky).filter(|(was, is)| was != is);
    let sticky = sticky.map(|(was, is)| format!("src_ip_sticky is {is} instead of {was}"));
    let length = (was.table_length != is.table_length)
        .then(|| format!("has {} buckets instead of {}", is.table_length, was.table_length));
    let servers = was.servers.iter().filter_map(|(server, before)| match is.servers.get(server) {
        None => Some(format!("server {server} of weight {before} is gone")),
        Some(now) if now != before => Some(format!("server {server} has weight {now} instead of {before}")),
        Some(_) => None,
    });
    let unknown = is.servers.iter().filter(|(server, _)| !was.servers.contains_key(server));
    let unknown = unknown.map(|(server, weight)| format!("server {server} of weight {weight} has appeared"));
    made_anew.into_iter().chain(encap).chain(sticky).chain(length).chain(servers).chain(unknown)
}
