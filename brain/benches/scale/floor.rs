//! Bare loops over the same data.

use std::collections::BTreeMap;

use maglev_engine::config::Config;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode as write;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Any YAML that the configuration uses.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

/// Reads a text without judging it.
pub(crate) fn values(text: &str) -> usize {
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_nodes: 5_000_000, max_events: 10_000_000 } };
    let value: Value = serde_saphyr::from_str_with_options(text, options).unwrap();
    std::mem::size_of_val(&value)
}

/// Number of members of all frontends that differ.
pub(crate) fn walk(one: &Config, other: &Config) -> usize {
    let mut differ = 0;
    for (name, frontend) in &one.frontends {
        let other = &other.frontends[name];
        for (pool, other) in frontend.pools.iter().zip(&other.pools) {
            differ += pool.backends.iter().zip(&other.backends).filter(|(one, other)| one != other).count();
        }
    }
    for (name, backend) in &one.backends {
        differ += usize::from(other.backends[name] != *backend);
    }
    differ
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    backend: String,
    frontend: String,
    state: String,
}

/// A registry with so many series, in ten metrics.
pub(crate) fn registry(series: usize) -> Registry {
    let mut registry = Registry::default();
    for metric in 0..10 {
        let family = Family::<Labels, Gauge>::default();
        for number in 0..series / 10 {
            let labels = Labels {
                backend: format!("backend-{number:05}"),
                frontend: format!("frontend-{:04}", number / 10),
                state: "up".to_owned(),
            };
            family.get_or_create(&labels).set(i64::try_from(number * 1_000).unwrap());
        }
        registry.register(format!("maglev_backend_figure_{metric}"), "A figure of each backend", family);
    }
    registry
}

/// The length of its text.
pub(crate) fn encode(registry: &Registry) -> usize {
    let mut text = String::new();
    write(&mut text, registry).unwrap();
    text.len()
}
