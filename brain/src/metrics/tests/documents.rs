//! The guide, the Grafana dashboard and the alerts refer only to existing metrics.

use std::collections::BTreeSet;

use regex::Regex;

use super::catalogue::{ALL, Kind};

const GUIDE: &str = include_str!("../../../../docs/monitoring/README.md");
const ALERTS: &str = include_str!("../../../../docs/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../docs/monitoring/dashboard.json");

/// The metrics in an expression. Those of histograms appear by their parts.
fn named(expression: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:maglev|process)_[a-z0-9_]+").unwrap();
    // Quoted text is a label's value.
    let bare = Regex::new(r#""[^"]*""#).unwrap().replace_all(expression, "\"\"");
    let base = |found: &str| {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| found.strip_suffix(part));
        let histogram = base.filter(|base| ALL.iter().any(|metric| metric.name == *base));
        histogram.unwrap_or(found).to_owned()
    };
    name.find_iter(&bare).map(|found| base(found.as_str())).collect()
}

fn known() -> BTreeSet<String> {
    ALL.iter().map(|metric| metric.name.to_owned()).collect()
}

#[test]
fn the_guide_has_every_metric_with_its_type_and_no_other() {
    let rows: BTreeSet<_> = GUIDE.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let documented: BTreeSet<(&str, &str)> = rows
        .into_iter()
        .filter_map(|row| row.split_once("` | "))
        .filter(|(name, _)| name.starts_with("maglev_") || name.starts_with("process_"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap()))
        .collect();
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let exported: BTreeSet<_> = ALL.iter().map(|metric| (metric.name, kind(metric.kind))).collect();
    assert_eq!(documented, exported);
}

#[test]
fn the_guide_s_expressions_name_metrics_that_there_are() {
    let expressions = GUIDE.split("## Questions and expressions").nth(1).unwrap();
    let named = named(expressions);
    assert!(named.len() >= 5, "{named:?}");
    assert_eq!(named.difference(&known()).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_alert_names_metrics_that_there_are_and_says_what_to_do() {
    let alerts: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 20, "{}", alerts.len());
    let mut names = BTreeSet::new();
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let line = |key: &str| {
            let found = alert.lines().find_map(|line| line.trim_start().strip_prefix(key));
            found.unwrap_or_else(|| panic!("{name} has no {key}")).trim().to_owned()
        };
        let severity = line("labels: { severity: ");
        assert!(["critical }", "warning }", "info }"].contains(&severity.as_str()), "{name}: {severity}");
        line("summary: ");
        line("description: ");
        let unknown: Vec<_> = named(&line("expr: ")).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}");
    }
}

#[test]
fn every_panel_names_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<_> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(rows, ["Overview", "Frontends", "Routes", "Backends", "VPP", "Syncs", "Brain"]);
    let mut ids = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id is there twice: {}", panel["id"]);
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        for target in targets {
            let named = named(target["expr"].as_str().unwrap());
            let unknown: Vec<_> = named.difference(&known()).cloned().collect();
            assert!(unknown.is_empty(), "{} asks for {unknown:?}", panel["title"]);
            asked.extend(named);
        }
    }
    assert!(asked.len() >= 40, "{}", asked.len());
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["definition"].as_str().unwrap_or_default();
        let unknown: Vec<_> = named(query).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "{} asks for {unknown:?}", variable["name"]);
    }
}

#[test]
fn names_in_an_expression_are_found_without_their_labels() {
    let expression =
        "sum by (le) (rate(maglev_event_to_vpp_seconds_bucket{x=\"maglev_no\"}[5m])) / process_open_fds";
    let found = ["maglev_event_to_vpp_seconds", "process_open_fds"].map(str::to_owned);
    assert_eq!(named(expression), found.into());
}
