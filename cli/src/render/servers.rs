//! Answers of several servers: lists as one table, everything else one after the other.

use std::collections::{BTreeMap, BTreeSet};

use maglev_proto::{Backend, Frontend, HealthCheck, Override, VipCounters};
use serde::Serialize;
use serde_json::Value;

use super::{backends, counters, frontends, healthchecks, overrides, problems};
use crate::answer::Answer;
use crate::error::Error;
use crate::moment::Moment;
use crate::servers::{FieldPath, Reply, differences, steady};
use crate::style::{Palette, Tone};
use crate::table::{Beside, Cell, Column, Table};

/// Maximum number of differing items named.
const NAMED: usize = 3;

/// Lines, each ended.
pub(crate) fn text(replies: &[Reply], now: Moment, palette: Palette) -> Result<String, Error> {
    let answers: Vec<_> = replies
        .iter()
        .filter_map(|reply| Some((reply.server.to_string(), reply.answer.as_ref().ok()?)))
        .collect();
    let mut text = match answers.first() {
        Some((_, Answer::Frontends(_))) => {
            let rows = rows(&answers, frontends_of, |one| one.name.clone(), Same::Once)?;
            problems_of_each(&answers, now, palette) + &table(&rows, frontends::table, palette)
        }
        Some((_, Answer::Backends(_))) => {
            let rows = rows(&answers, backends_of, |one| one.name.clone(), Same::Once)?;
            table(&rows, |items| backends::table(items, now), palette)
        }
        Some((_, Answer::HealthChecks(_))) => {
            let rows = rows(&answers, checks_of, |one| one.name.clone(), Same::Once)?;
            table(&rows, healthchecks::table, palette)
        }
        Some((_, Answer::Overrides(_))) => {
            let key = |one: &Override| (one.frontend.clone(), one.pool.clone(), one.backend.clone());
            let rows = rows(&answers, overrides_of, key, Same::Once)?;
            table(&rows, |items| overrides::table(items, now), palette)
        }
        Some((_, Answer::VppLbCounters(_))) => {
            let key = |one: &VipCounters| {
                let service = (one.protocol.clone(), one.port);
                (one.frontend.is_empty(), one.frontend.clone(), one.prefix.clone(), service)
            };
            let rows = rows(&answers, counters_of, key, Same::Each)?;
            table(&rows, counters::table, palette)
        }
        Some(_) => one_after_the_other(&answers, now, palette)?,
        None => String::new(),
    };
    for reply in replies {
        if let Err(error) = &reply.answer {
            let words = format!("{}: {error}", reply.server);
            text.push_str(&format!("{}\n", palette.paint(Tone::Bad, &words)));
        }
    }
    Ok(text)
}

/// The gravest problems of each server that has some.
fn problems_of_each(answers: &[(String, &Answer)], now: Moment, palette: Palette) -> String {
    let lists = answers.iter().filter_map(|(server, answer)| match answer {
        Answer::Frontends(list) if !list.problems.is_empty() => Some((server, &list.problems)),
        _ => None,
    });
    let texts = lists.map(|(server, problems)| {
        let (shown, more) = problems.split_at(problems.len().min(NAMED));
        format!("{server}:\n{}", problems::list(shown, more.len() as u64, now, palette))
    });
    texts.collect()
}

fn frontends_of(answer: &Answer) -> &[Frontend] {
    match answer {
        Answer::Frontends(list) => &list.frontends,
        Answer::Frontend(only) => std::slice::from_ref(only),
        _ => &[],
    }
}

fn backends_of(answer: &Answer) -> &[Backend] {
    match answer {
        Answer::Backends(list) => &list.backends,
        Answer::Backend(only) => std::slice::from_ref(only),
        _ => &[],
    }
}

fn checks_of(answer: &Answer) -> &[HealthCheck] {
    if let Answer::HealthChecks(list) = answer { &list.healthchecks } else { &[] }
}

fn overrides_of(answer: &Answer) -> &[Override] {
    if let Answer::Overrides(list) = answer { &list.overrides } else { &[] }
}

fn counters_of(answer: &Answer) -> &[VipCounters] {
    if let Answer::VppLbCounters(list) = answer { &list.vips } else { &[] }
}

/// How to show a row that is the same on several servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    Once,
    /// Once for each server, since its counters are the point.
    Each,
}

/// A row of the table.
struct Row<'a, T> {
    servers: String,
    item: &'a T,
    differs: String,
}

/// Servers that agree about an item, apart from volatile fields.
struct Group<'a, T> {
    servers: Vec<&'a str>,
    item: &'a T,
    steady: Value,
}

fn rows<'a, T: Serialize, K: Ord>(
    answers: &'a [(String, &'a Answer)],
    items: impl Fn(&'a Answer) -> &'a [T],
    key: impl Fn(&T) -> K,
    same: Same,
) -> Result<Vec<Row<'a, T>>, Error> {
    let mut things: BTreeMap<K, Vec<Group<'a, T>>> = BTreeMap::new();
    for (server, answer) in answers {
        for item in items(answer) {
            let (groups, steady) = (things.entry(key(item)).or_default(), steady(item)?);
            match groups.iter_mut().find(|group| same == Same::Once && group.steady == steady) {
                Some(group) => group.servers.push(server),
                None => groups.push(Group { servers: vec![server], item, steady }),
            }
        }
    }
    let mut rows = Vec::new();
    for groups in things.into_values() {
        let knowing: BTreeSet<_> = groups.iter().flat_map(|group| &group.servers).copied().collect();
        let missing =
            answers.iter().map(|(server, _)| server.as_str()).filter(|server| !knowing.contains(server));
        let mut differs: Vec<_> = missing.map(|server| format!("missing on {server}")).collect();
        differs.extend(named(differences(groups.iter().map(|group| &group.steady))));
        for group in groups {
            let on_all = group.servers.len() == answers.len();
            let servers = if on_all { "all".to_owned() } else { group.servers.join(", ") };
            rows.push(Row { servers, item: group.item, differs: differs.join(", ") });
        }
    }
    Ok(rows)
}

/// Each item with the first differing field, and the number of others: `web1 effective_weight +1`.
fn named(fields: BTreeSet<FieldPath>) -> Vec<String> {
    let mut things: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in &fields {
        let [.., owner, field] = path.as_slice() else {
            things.entry("").or_default().extend(path.iter().map(String::as_str));
            continue;
        };
        things.entry(owner).or_default().push(field);
    }
    let own = things.remove("").unwrap_or_default().into_iter().map(str::to_owned);
    let others = things.into_iter().map(|(owner, fields)| match fields.as_slice() {
        [only] => format!("{owner} {only}"),
        [first, more @ ..] => format!("{owner} {first} +{}", more.len()),
        [] => owner.to_owned(),
    });
    let mut names: Vec<_> = own.chain(others).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

fn table<'a, T, const N: usize>(
    rows: &[Row<'a, T>],
    table: impl Fn(Vec<&'a T>) -> Table<N>,
    palette: Palette,
) -> String {
    if rows.is_empty() {
        return "None on any of the servers.\n".to_owned();
    }
    let servers = rows.iter().map(|row| Cell::new(&row.servers)).collect();
    let before = Beside { column: Column::left("Server"), cells: servers };
    let differs = rows.iter().map(|row| Cell::toned(&row.differs, Tone::Warning)).collect();
    let behind = Beside { column: Column::left("Differs").prose(), cells: differs };
    table(rows.iter().map(|row| row.item).collect()).render_between(&before, &behind, palette)
}

fn one_after_the_other(
    answers: &[(String, &Answer)],
    now: Moment,
    palette: Palette,
) -> Result<String, Error> {
    let mut text = String::new();
    for (server, answer) in answers {
        let heading = format!("--- {server}");
        text.push_str(&format!("{}\n", palette.paint(Tone::Heading, &heading)));
        text.push_str(&super::text(answer, now, palette));
        text.push('\n');
    }
    let values: Result<Vec<_>, _> = answers.iter().map(|(_, answer)| steady(answer)).collect();
    let differs = named(differences(&values?));
    let words = match (answers.len(), differs.as_slice()) {
        (1, _) => "Only one server answered.".to_owned(),
        (_, []) => "Differs: nothing".to_owned(),
        (_, fields) => palette.paint(Tone::Warning, &format!("Differs: {}", fields.join(", "))).into_owned(),
    };
    text.push_str(&format!("{words}\n"));
    Ok(text)
}

#[cfg(test)]
mod tests;
