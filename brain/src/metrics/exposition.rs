//! Text format of metrics.

use maglev_engine::tally::Reading;
use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};

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
pub(super) struct Rows {
    kind: Kind,
    rows: Vec<proto::Metric>,
}

impl Exposition {
    /// Writes one metric, unless it has no series.
    pub(super) fn family(
        &mut self,
        metric: Metric,
        fill: impl FnOnce(&mut Rows),
    ) -> Result<(), prometheus::Error> {
        let mut rows = Rows { kind: metric.kind, rows: Vec::new() };
        fill(&mut rows);
        if rows.rows.is_empty() {
            return Ok(());
        }
        self.series += rows.rows.len();
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        family.set_field_type(match metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(rows.rows);
        TextEncoder::new().encode_utf8(&[family], &mut self.text)
    }

    /// Writes a metric with at most one series, without labels.
    pub(super) fn single(
        &mut self,
        metric: Metric,
        value: impl Into<Option<f64>>,
    ) -> Result<(), prometheus::Error> {
        let value = value.into();
        self.family(metric, |rows| value.into_iter().for_each(|value| rows.add(&[], value)))
    }

    pub(super) fn finish(self) -> Text {
        Text { text: self.text, series: self.series }
    }
}

impl Rows {
    /// Adds a series of a counter or a gauge. Prometheus treats a label with an empty value as missing.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut row = labelled(labels);
        if self.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            row.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            row.set_gauge(gauge);
        }
        self.rows.push(row);
    }

    /// Adds one series for each of `words`: 1 for the current one, 0 for the others.
    pub(super) fn add_state(&mut self, labels: &[(&str, &str)], name: &str, words: &[&str], is: &str) {
        let mut all = labels.to_vec();
        for word in words {
            all.push((name, word));
            self.add(&all, flag(*word == is));
            all.pop();
        }
    }

    /// Adds a series of a histogram.
    pub(super) fn add_histogram(&mut self, labels: &[(&str, &str)], reading: &Reading) {
        let buckets = reading.buckets.iter().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(reading.count);
        histogram.set_sample_sum(reading.sum);
        let mut row = labelled(labels);
        row.set_histogram(histogram);
        self.rows.push(row);
    }
}

fn labelled(labels: &[(&str, &str)]) -> proto::Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    proto::Metric::from_label(labels.iter().map(pair).collect())
}

/// 1 or 0.
pub(super) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A counter's value. Loses precision above 2^53, which no counter here reaches in years.
pub(super) fn number(count: u64) -> f64 {
    count as f64
}
