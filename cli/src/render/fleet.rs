//! `fleet`.

use maglev_proto::words::Word;
use maglev_proto::{
    ConfigDifference, FleetConfig, FleetMember, FleetRollout, FleetStage, FleetStatus, FleetTable,
    FleetTables, ListFleetConfigsResponse,
};

use super::{configuration, yes_or_no};
use crate::moment::{Moment, span};
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Properties, Table};

/// A clock that is off by more is shown.
const SKEW_MS: u64 = 5_000;

/// The link, the latest rollout, and the members.
pub(super) fn status(status: &FleetStatus, now: Moment, palette: Palette) -> String {
    if status.fleet.is_empty() {
        return "Not a member of a fleet: maglev-brain runs without --fleet.\n".to_owned();
    }
    let mut properties = Properties::default();
    properties.put("Fleet", Cell::new(&status.fleet)).put("Asked", Cell::new(&status.member));
    properties.put("etcd", link(status, now));
    if let Some(rollout) = &status.rollout {
        properties.put("Revision", Cell::new(revision(rollout)));
        properties.put("Rollout", stage(rollout, now));
    } else {
        properties.put("Revision", Cell::new("none; each member runs its own file"));
    }
    if !status.not_kept.is_empty() {
        let why = format!("not persisted: {}", status.not_kept);
        properties.put("Copy", Cell::toned(why, Tone::Bad));
    }
    let mut text = properties.render(palette);
    for refused in &status.refused {
        let line = format!("refused {}: {}", printable(&refused.key), printable(&refused.reason));
        text += &format!("{}\n", palette.paint(Tone::Bad, &line));
    }
    if status.left_out > 0 {
        text += &format!("{} keys of etcd are beyond the limits and left out\n", status.left_out);
    }
    text.push('\n');
    text + &members(status, now, palette)
}

fn link(status: &FleetStatus, now: Moment) -> Cell {
    let since = Moment(status.since_unix_ms).age(now);
    match (status.connected, status.since_unix_ms) {
        (true, _) => Cell::toned(format!("connected for {since}"), Tone::Good),
        (false, 0) => Cell::toned(format!("not connected since the start: {}", status.reason), Tone::Bad),
        (false, _) => Cell::toned(
            format!("not connected for {since}, all below is older: {}", status.reason),
            Tone::Bad,
        ),
    }
}

fn revision(rollout: &FleetRollout) -> String {
    let who = if rollout.who.is_empty() { String::new() } else { format!(" by {}", rollout.who) };
    let why = if rollout.comment.is_empty() { String::new() } else { format!(": {}", rollout.comment) };
    format!("{}{who}{why}", rollout.revision)
}

fn stage(rollout: &FleetRollout, now: Moment) -> Cell {
    let since = Moment(rollout.since_unix_ms).age(now);
    let back_to = match rollout.back_to {
        0 => "each member's own file".to_owned(),
        number => format!("revision {number}"),
    };
    let plan = rollout.plan.clone().unwrap_or_default();
    let (words, tone) = match rollout.stage() {
        FleetStage::Done => (format!("done for {since}"), Tone::Good),
        FleetStage::Canary => (format!("{} takes it, for {since}", plan.canary.join(", ")), Tone::Warning),
        FleetStage::Soaking => {
            let soak = span(plan.soak_ms);
            (format!("soaking on {} for {since} of {soak}", plan.canary.join(", ")), Tone::Warning)
        }
        FleetStage::Rest => (format!("the others take it, {}", plan.order().word()), Tone::Warning),
        FleetStage::Failed | FleetStage::Aborted => (
            format!("{}, members go back to {back_to}: {}", rollout.stage().word(), rollout.reason),
            Tone::Bad,
        ),
        FleetStage::RolledBack => {
            (format!("rolled back to {back_to} for {since}: {}", rollout.reason), Tone::Bad)
        }
        FleetStage::Unspecified => ("unknown".to_owned(), Tone::Warning),
    };
    Cell::toned(words, tone)
}

/// One line for each member.
pub(super) fn members(status: &FleetStatus, now: Moment, palette: Palette) -> String {
    let columns = [
        Column::left("Member"),
        Column::left("Connected"),
        Column::left("Revision"),
        Column::left("VPP"),
        Column::left("Version").optional(2),
        Column::left("Joined").optional(1),
        Column::left("Problem").prose(),
    ];
    let rows = status.members.iter().map(|member| {
        let revision = match (member.connected, member.revision) {
            (false, _) => Cell::or_dash(""),
            (true, 0) => Cell::new("own file"),
            (true, number) => Cell::new(number.to_string()),
        };
        let connected = if member.connected {
            yes_or_no(true)
        } else {
            Cell::toned("away", if status.connected { Tone::Bad } else { Tone::Warning })
        };
        let vpp = match (member.connected, member.vpp_connected) {
            (false, _) => Cell::or_dash(""),
            (true, true) => Cell::new("connected"),
            (true, false) => Cell::toned("disconnected", Tone::Bad),
        };
        let joined = match member.first_seen_unix_ms {
            0 => String::new(),
            at => Moment(at).iso(),
        };
        [
            Cell::new(&member.name),
            connected,
            revision,
            vpp,
            Cell::or_dash(&member.version),
            Cell::or_dash(joined),
            problem(member, now),
        ]
    });
    Table::new(columns).with_rows(rows).render(palette)
}

fn problem(member: &FleetMember, now: Moment) -> Cell {
    let mut words = Vec::new();
    if member.rival_since_unix_ms > 0 {
        let since = Moment(member.rival_since_unix_ms).age(now);
        words.push(format!("another machine calls itself {}, for {since}", member.name));
    }
    if member.refused_revision > 0 {
        words.push(format!("refused revision {}: {}", member.refused_revision, member.refused_reason));
    }
    if !member.not_programmed.is_empty() {
        words.push(member.not_programmed.clone());
    }
    if member.cut_off {
        words.push("cut off from the backends: withdraws its routes".to_owned());
    }
    if member.local_overrides > 0 {
        words.push(format!("overrides only here: {}", member.local_overrides));
    }
    let counts = [
        (member.downs, "backends went down"),
        (member.sync_errors, "syncs failed"),
        (member.drift, "differences in VPP"),
        (member.withdrawn_routes, "routes withdrawn"),
    ];
    words.extend(
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")),
    );
    let ahead = member.clock_unix_ms.saturating_sub(now.0);
    if member.connected && ahead > SKEW_MS {
        words.push(format!("its clock is {} ahead", span(ahead)));
    }
    if words.is_empty() { Cell::or_dash("") } else { Cell::toned(words.join("; "), Tone::Warning) }
}

/// One line for each VIP.
pub(super) fn tables(tables: &FleetTables, palette: Palette) -> String {
    let columns = [
        Column::left("VIP"),
        Column::right("Length"),
        Column::right("Servers"),
        Column::left("Digest").optional(1),
        Column::left("Members").prose(),
    ];
    let count = tables.members.len();
    let rows = tables.tables.iter().map(|table| {
        let length = if table.length > 0 { Cell::number(table.length) } else { Cell::or_dash("") };
        let servers = if table.length > 0 { Cell::number(table.servers) } else { Cell::or_dash("") };
        [Cell::new(&table.vip), length, servers, Cell::or_dash(&table.digest), equality(table, count)]
    });
    let mut text = Table::new(columns).with_rows(rows).render(palette);
    if !tables.unknown.is_empty() {
        let line = format!("not known: the tables of {}", tables.unknown.join(", "));
        text += &format!("{}\n", palette.paint(Tone::Warning, &printable(&line)));
    }
    text
}

/// On how many members a table is the same, or which ones differ, and why.
fn equality(table: &FleetTable, members: usize) -> Cell {
    let differences = table.differences.iter().map(|other| format!("{}: {}", other.member, other.reason));
    let words: Vec<_> = match table.differences.is_empty() {
        true => vec![format!("equal on {} of {members}", table.equal)],
        false => differences.collect(),
    };
    // Short differences are normal.
    let tone = match (table.differences.is_empty(), table.differences.iter().any(|other| other.lasting)) {
        (true, _) => Tone::Good,
        (false, true) => Tone::Bad,
        (false, false) => Tone::Warning,
    };
    Cell::toned(words.join("; "), tone)
}

/// The revisions of the configuration.
pub(super) fn configs(list: &ListFleetConfigsResponse, now: Moment, palette: Palette) -> String {
    if list.configs.is_empty() {
        return "No revisions yet: `maglevc fleet config put FILE` makes the first one.\n".to_owned();
    }
    let columns = [
        Column::right("Revision"),
        Column::left("Put").optional(2),
        Column::right("Age"),
        Column::left("By"),
        Column::left("SHA-256").optional(1),
        Column::left("Members"),
        Column::left("Reason").prose(),
    ];
    let rows = list.configs.iter().map(|config| {
        let at = Moment(config.at_unix_ms);
        [
            Cell::number(config.number),
            Cell::new(at.iso()),
            Cell::new(at.age(now)),
            Cell::or_dash(&config.who),
            Cell::new(config.sha256.get(..12).unwrap_or_default()),
            Cell::or_dash(config.members.join(" ")),
            Cell::or_dash(&config.comment),
        ]
    });
    Table::new(columns).with_rows(rows).render(palette)
}

/// A line for each value that differs between two revisions.
pub(super) fn compared(config: &FleetConfig, palette: Palette) -> String {
    if config.differences.is_empty() {
        return "No value differs.\n".to_owned();
    }
    let differences: &[ConfigDifference] = &config.differences;
    configuration::differences(differences, config.differences_left_out, ["Old", "New"], palette)
}
