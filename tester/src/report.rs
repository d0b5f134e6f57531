//! A test as text, to paste into a ticket. Pure.

use unicode_width::UnicodeWidthStr;

use crate::latency::Percentiles;
use crate::limits::Verdict;
use crate::snapshot::{FlowsSnapshot, OutageSnapshot, Snapshot, VipSnapshot};
use crate::sweep::Swept;

/// Probability below which a difference is not called chance.
pub const SIGNIFICANT: f64 = 0.01;
/// Failures and events that are listed of each VIP.
const LISTED: usize = 10;

/// The whole report.
pub fn text(snapshot: &Snapshot, sweeps: &[(String, Swept)], verdict: &Verdict) -> String {
    let mut out = String::new();
    match snapshot.vips.len() {
        0 => {}
        1 => line(&mut out, &format!("1 VIP for {:.1} s from {}", snapshot.elapsed, snapshot.started)),
        vips => {
            line(&mut out, &format!("{vips} VIPs for {:.1} s from {}", snapshot.elapsed, snapshot.started))
        }
    }
    if let Some(reason) = &snapshot.brain_error {
        line(&mut out, &format!("Brain: {reason}"));
    }
    if snapshot.vips.iter().any(|vip| vip.sent > 0 || !vip.failures.is_empty()) {
        out.push('\n');
        out.push_str(&vip_table(&snapshot.vips));
    }
    for vip in &snapshot.vips {
        of_vip(&mut out, vip);
    }
    for (vip, swept) in sweeps {
        of_sweep(&mut out, vip, swept);
    }
    if !verdict.exceeded.is_empty() {
        out.push('\n');
        verdict.exceeded.iter().for_each(|exceeded| line(&mut out, &format!("Exceeded: {exceeded}")));
    }
    out
}

fn vip_table(vips: &[VipSnapshot]) -> String {
    let head =
        ["VIP", "Address", "Request", "State", "Sent", "Failed", "Success", "p50 ms", "p95", "p99", "Max"];
    let rows = vips.iter().map(|vip| {
        let Percentiles { p50, p95, p99, max } = vip.run;
        let mut row = vec![
            vip.vip.clone(),
            vip.address.clone(),
            vip.request.to_owned(),
            state(vip).to_owned(),
            vip.sent.to_string(),
            vip.failed.to_string(),
            vip.success.map_or_else(|| "-".to_owned(), percent),
        ];
        row.extend([p50, p95, p99, max].map(|ms| format!("{ms:.1}")));
        row
    });
    columns(&head, 4, rows)
}

/// In words.
pub fn state(vip: &VipSnapshot) -> &'static str {
    match vip.state {
        crate::snapshot::VipState::Up => "up",
        crate::snapshot::VipState::Failing => "failing",
        crate::snapshot::VipState::Unknown => "unknown",
    }
}

fn of_vip(out: &mut String, vip: &VipSnapshot) {
    if !vip.servers.is_empty() {
        heading(out, vip, "servers");
        out.push_str(&server_table(vip));
        if let Some(words) = chance(vip) {
            line(out, &format!("  {words}"));
        }
        if !vip.balancers.is_empty() {
            let balancers = vip.balancers.iter().map(|(name, answers)| format!("{name} {answers}"));
            line(out, &format!("  Delivered by: {}", balancers.collect::<Vec<_>>().join(", ")));
        }
    }
    if !vip.failures.is_empty() {
        let classes = vip.failures.iter().map(|(class, count)| format!("{class} {count}"));
        heading(out, vip, &format!("failures: {}", classes.collect::<Vec<_>>().join(", ")));
        for failure in vip.newest_failures.iter().take(LISTED) {
            line(out, &format!("  {}  {}", failure.at, failure.words));
        }
    }
    let outages = &vip.outages;
    if let (Some(longest), Some(disturbance)) = (&outages.longest, &outages.longest_disturbance) {
        heading(out, vip, &format!("outages: {}, {} ms in all", outages.count, outages.total_ms));
        line(out, &format!("  Longest      {}", outage(longest)));
        line(out, &format!("  Disturbance  {}", outage(disturbance)));
        if outages.current.is_some() {
            line(out, "  The last one goes on.");
        }
    }
    if let Some(flows) = &vip.flows {
        of_flows(out, vip, flows);
    }
}

/// One outage in words.
pub fn outage(outage: &OutageSnapshot) -> String {
    format!("{} ms from {}, {} failed", outage.ms, outage.since, outage.failed)
}

fn server_table(vip: &VipSnapshot) -> String {
    let head = ["  Server", "Answers", "Last 5 s", "Run", "Since change", "Expected", ""];
    let part = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let rows = vip.servers.iter().map(|row| {
        let mark = if row.unexpected { "has no buckets" } else { "" };
        vec![
            format!("  {}", row.server),
            row.answers.to_string(),
            percent(row.recent),
            percent(row.run),
            part(row.compared),
            part(row.expected),
            mark.to_owned(),
        ]
    });
    columns(&head, 1, rows)
}

/// What the chi-square test says, if anything could be compared.
pub fn chance(vip: &VipSnapshot) -> Option<String> {
    let p = vip.chance?;
    Some(if p < SIGNIFICANT {
        format!("Shares differ from the buckets by more than chance (p = {p:.4})")
    } else {
        format!("Shares are those of the buckets, within chance (p = {p:.2})")
    })
}

fn of_flows(out: &mut String, vip: &VipSnapshot, flows: &FlowsSnapshot) {
    heading(out, vip, &format!("flows: {}", counts(flows)));
    let servers = flows.servers.iter().map(|(server, flows)| format!("{server} {flows}"));
    line(
        out,
        &format!(
            "  Answered {} times; by server: {}",
            flows.exchanged,
            servers.collect::<Vec<_>>().join(", ")
        ),
    );
    for event in flows.events.iter().take(LISTED) {
        line(out, &format!("  {}  flow {} {}  {}", event.at, event.flow, event.event, event.words));
    }
}

/// Flows and what became of them.
pub fn counts(flows: &FlowsSnapshot) -> String {
    let FlowsSnapshot { open, wanted, broke, moved, stalled, .. } = flows;
    format!("{open} of {wanted} open; {broke} broke, {moved} moved, {stalled} stalled")
}

fn of_sweep(out: &mut String, vip: &str, swept: &Swept) {
    let Swept { buckets, probed, unreached, failed, elsewhere, .. } = swept;
    let head = format!(
        "\n{vip}, sweep: {probed} of {buckets} buckets probed, {failed} failed, {unreached} not reached"
    );
    line(out, &head);
    let head = ["  Server", "Buckets", "Answered", "Failed"];
    let rows = swept.servers.iter().map(|(server, row)| {
        vec![format!("  {server}"), row.buckets.to_string(), row.answered.to_string(), row.failed.to_string()]
    });
    out.push_str(&columns(&head, 1, rows));
    if *elsewhere > 0 {
        line(out, &format!("  {elsewhere} were answered by another server than the table has"));
    }
    swept.failures.iter().for_each(|failure| line(out, &format!("  {failure}")));
}

fn heading(out: &mut String, vip: &VipSnapshot, what: &str) {
    line(out, &format!("\n{}, {what}", vip.vip));
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// `99.50 %`
pub fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}

/// Lines of aligned columns; those from `right` on stand to the right.
fn columns(head: &[&str], right: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(head.iter().map(|&cell| cell.to_owned()).collect()).chain(rows).collect();
    let width = |index: usize| rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width()).max();
    let widths: Vec<_> = (0..head.len()).map(|index| width(index).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let mut text = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            // The last column may be a remark.
            let is_right = index >= right && !head.get(index).is_some_and(|head| head.is_empty());
            let gap = if index == 0 { "" } else { "  " };
            let (padding, cell) = (padding.as_str(), cell.as_str());
            let parts = if is_right { [gap, padding, cell] } else { [gap, cell, padding] };
            parts.iter().for_each(|part| text.push_str(part));
        }
        line(&mut out, text.trim_end());
    }
    out
}

#[cfg(test)]
mod tests;
