//! Text format of metrics, 0.0.4 of Prometheus.
//!
//! Written at once: the prometheus crate's encoder wants a tree of every series first, which takes five times as long.

use std::fmt::Write;

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
        self.sample("", labels, None, value);
        self.series += 1;
    }

    /// Adds one series for each of `words`: 1 for the current one, 0 for the others.
    pub(super) fn add_state(&mut self, labels: &[(&str, &str)], name: &str, words: &[&str], is: &str) {
        for word in words {
            self.sample("", labels, Some((name, word)), flag(*word == is));
            self.series += 1;
        }
    }

    /// Adds a series of a histogram.
    pub(super) fn add_histogram(&mut self, labels: &[(&str, &str)], reading: &Reading) {
        for (bound, count) in &reading.buckets {
            self.sample("_bucket", labels, Some(("le", &bound.to_string())), number(*count));
        }
        self.sample("_bucket", labels, Some(("le", "+Inf")), number(reading.count));
        self.sample("_sum", labels, None, reading.sum);
        self.sample("_count", labels, None, number(reading.count));
        self.series += 1;
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], last: Option<(&str, &str)>, value: f64) {
        self.text.push_str(self.metric.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(self.text, value);
            self.text.push('"');
            before = ',';
        }
        self.text.push_str(if before == '{' { " " } else { "} " });
        push_number(self.text, value);
        self.text.push('\n');
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
