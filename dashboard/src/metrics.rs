//! What is counted for Prometheus.

use prometheus::core::Collector;
use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) viewers: IntGauge,
    pub(crate) brains: IntGauge,
    /// Frames of the stream, each of which goes to every viewer.
    pub(crate) frames: IntCounter,
    pub(crate) sent: IntCounter,
    /// Viewers who read too slowly.
    pub(crate) resyncs: IntCounter,
    pub(crate) refused_logins: IntCounter,
    pub(crate) changes: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        Self {
            viewers: gauge("maglev_dashboard_viewers", "Browsers with an open event stream."),
            brains: gauge("maglev_dashboard_brains_connected", "Brains that are connected."),
            frames: counter("maglev_dashboard_frames_total", "Frames published on the event stream."),
            sent: counter(
                "maglev_dashboard_sent_bytes_total",
                "Bytes of the event stream, over all viewers.",
            ),
            resyncs: counter(
                "maglev_dashboard_resyncs_total",
                "Viewers that were too slow and had to start over.",
            ),
            refused_logins: counter("maglev_dashboard_refused_logins_total", "Logins that were refused."),
            changes: counter(
                "maglev_dashboard_changes_total",
                "Changes that were confirmed, one for each brain.",
            ),
            registry,
        }
    }
}

/// Names and texts are constants, which a test registers: the error cannot come from users.
#[allow(clippy::expect_used, reason = "as above")]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("a valid name");
    registry.register(Box::new(collector.clone())).expect("a name of its own");
    collector
}

impl Metrics {
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory cannot fail, and the families are registered ones.
        drop(TextEncoder::new().encode(&self.registry.gather(), &mut text));
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_told() {
        let metrics = Metrics::default();
        metrics.changes.inc();
        let text = metrics.text();
        assert!(text.contains("maglev_dashboard_changes_total 1\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), 7);
    }
}
