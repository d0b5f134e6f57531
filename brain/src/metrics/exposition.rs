//! Text format of metrics, 0.0.4 of Prometheus.
//!
//! Written at once: the prometheus crate's encoder wants a tree of every series first, which takes five times as long.

use std::fmt::Write;
use std::ops::Range;

use maglev_engine::tally::Reading;

use super::catalogue::{Kind, Metric};

/// Result of a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, in Prometheus' format 0.0.4.
    pub text: String,
    /// Number of series; a histogram counts as one.
    pub series: usize,
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    series: usize,
}

/// The series of one metric.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    metric: Metric,
    text: &'a mut String,
    series: usize,
}

impl Exposition {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), series: 0 }
    }

    /// Writes one metric, unless it has no series.
    pub(super) fn family(&mut self, metric: Metric, fill: impl FnOnce(&mut Rows<'_>)) {
        let start = self.text.len();
        let Metric { name, kind, help } = metric;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.text.push_str(part);
        }
        let mut rows = Rows { metric, text: &mut self.text, series: 0 };
        fill(&mut rows);
        match rows.series {
            0 => self.text.truncate(start),
            series => self.series += series,
        }
    }

    /// Writes a metric with at most one series, without labels.
    pub(super) fn single(&mut self, metric: Metric, value: impl Into<Option<f64>>) {
        let value = value.into();
        self.family(metric, |rows| value.into_iter().for_each(|value| rows.add(&[], value)));
    }

    pub(super) fn finish(self) -> Text {
        Text { text: self.text, series: self.series }
    }
}

impl Rows<'_> {
    /// Adds a series of a counter or a gauge. Prometheus treats a label with an empty value as missing.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, value);
        self.series += 1;
    }

    /// Adds one series for each of `words`: 1 for the current one, 0 for the others.
    pub(super) fn add_state(&mut self, labels: &[(&str, &str)], name: &str, words: &[&str], is: &str) {
        self.add_each(labels, name, words.iter().map(|word| (*word, flag(*word == is))));
    }

    /// Adds series that differ in the label `name` only, whose values are words that need no escapes.
    pub(super) fn add_each<'a>(
        &mut self,
        labels: &[(&str, &str)],
        name: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let mut count = 0;
        self.samples("", labels, name, values.into_iter().inspect(|_| count += 1));
        self.series += count;
    }

    /// Adds a series of a histogram.
    pub(super) fn add_histogram(&mut self, labels: &[(&str, &str)], reading: &Reading) {
        let buckets: Vec<_> =
            reading.buckets.iter().map(|(bound, count)| (bound.to_string(), *count)).collect();
        let buckets = buckets.iter().map(|(bound, count)| (bound.as_str(), number(*count)));
        self.samples("_bucket", labels, "le", buckets.chain([("+Inf", number(reading.count))]));
        self.sample("_sum", labels, reading.sum);
        self.sample("_count", labels, number(reading.count));
        self.series += 1;
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let before = self.start(suffix, labels);
        self.text.push_str(if before == '{' { " " } else { "} " });
        push_number(self.text, value);
        self.text.push('\n');
    }

    /// Nearly all series differ from the one before in one label only: what they share is copied.
    fn samples<'a>(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        name: &str,
        values: impl Iterator<Item = (&'a str, f64)>,
    ) {
        let mut shared = None;
        for (word, value) in values {
            match &shared {
                Some(range) => self.text.extend_from_within(Range::clone(range)),
                None => {
                    let start = self.text.len();
                    let before = self.start(suffix, labels);
                    self.text.push(before);
                    self.text.push_str(name);
                    self.text.push_str("=\"");
                    shared = Some(start..self.text.len());
                }
            }
            self.text.push_str(word);
            self.text.push_str("\"} ");
            push_number(self.text, value);
            self.text.push('\n');
        }
    }

    /// Writes the name and the labels; returns what goes before a further label.
    fn start(&mut self, suffix: &str, labels: &[(&str, &str)]) -> char {
        self.text.push_str(self.metric.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(self.text, value);
            self.text.push('"');
            before = ',';
        }
        before
    }
}

fn push_escaped(text: &mut String, value: &str) {
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return text.push_str(value);
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// Most values are whole, and written in a quarter of the time as such.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Another value is not equal afterwards.
fn push_number(text: &mut String, value: f64) {
    let whole = value as u64;
    match number(whole) == value {
        true => text.push_str(itoa::Buffer::new().format(whole)),
        // Writing to memory never fails.
        false => drop(write!(text, "{value}")),
    }
}

/// 1 or 0.
pub(super) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A counter's value. Loses precision above 2^53, which no counter here reaches in years.
pub(super) fn number(count: u64) -> f64 {
    count as f64
}
