//! How much of the nodes is in use, as the Metrics API tells it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preflight_core::cluster::{Lookup, Reader};
use preflight_core::{Context, Examination, Quantity, Remediation, Subject, view};
use serde::Deserialize;

use super::USED_OVER_THRESHOLD;
use super::reading::Read;
use super::settings::{Metrics, ResourceThresholds};

/// How old a measurement may be, in seconds. The metrics server measures every 15 seconds, or every minute.
const FRESH: i64 = 300;
const RULE: &[&preflight_core::Rule] = &[&USED_OVER_THRESHOLD];

/// What a node uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeMetrics {
    timestamp: Option<Timestamp>,
    usage: BTreeMap<String, Quantity>,
}

view!(NodeMetrics: cluster "metrics.k8s.io" "v1beta1" "nodes" "NodeMetrics");

pub(super) async fn examine(check: &Examination, context: &Context, cluster: &Reader, read: &Read) {
    let Some(settings) = check.need(RULE, context.settings::<ResourceThresholds>()) else { return };
    let limits: Vec<(&str, u8)> = settings
        .percents()
        .into_iter()
        .filter_map(|(resource, percent)| Some((resource, percent?)))
        .collect();
    let mut rule = check.rule(&USED_OVER_THRESHOLD);
    if limits.is_empty() {
        return rule.conclude("thresholds in the environment");
    }
    let Some(discovery) = check.need(RULE, cluster.discovery().await) else { return };
    if let Lookup::NotServed { .. } = discovery.lookup("metrics.k8s.io", "v1beta1", "NodeMetrics") {
        let why = "the Metrics API (metrics.k8s.io) is not served, so what is in use is not known";
        match settings.metrics {
            Metrics::Required => rule.unknown(why, "install the metrics server, or set `metrics: optional`"),
            Metrics::Optional => check.set_aside(RULE, why),
        }
        return;
    }
    let Some(metrics) = check.need(RULE, cluster.list::<NodeMetrics>().await) else { return };
    let Some(nodes) = check.need(RULE, read.nodes.clone()) else { return };
    let oldest = Timestamp::now().as_second() - FRESH;
    let stale = metrics.iter().find(|(_, _, node)| node.timestamp.is_none_or(|at| at.as_second() < oldest));
    if let Some((_, name, node)) = stale {
        let since = node.timestamp.map_or_else(|| "without a time".to_owned(), |at| format!("of {at}"));
        return rule.unknown(
            format!("what the Metrics API says of node {name} is stale ({since})"),
            "see whether the metrics server is well",
        );
    }
    let unmeasured: Vec<&str> =
        nodes.iter().map(|(_, name, _)| name).filter(|name| !metrics.contains(name)).collect();
    if let Some(first) = unmeasured.first() {
        let why = format!(
            "the Metrics API says nothing of {} of {} nodes, {first} among them",
            unmeasured.len(),
            nodes.len()
        );
        return rule.unknown(why, "see whether the metrics server is well");
    }
    for (resource, percent) in limits {
        rule.examined();
        let used: i128 = metrics.iter().map(|(_, _, node)| amount(&node.usage, resource)).sum();
        let all: i128 = nodes.iter().map(|(_, _, node)| amount(&node.status.allocatable, resource)).sum();
        if all > 0 && used * 100 > all * i128::from(percent) {
            let message = format!(
                "{} % of the cluster's {resource} is in use, and {percent} % may be",
                used * 100 / all
            );
            let remedy = Remediation::new("See who uses it")
                .command("kubectl top nodes")
                .command("kubectl top pods -A");
            rule.fail(Subject::new("cluster"), message, remedy);
        }
    }
    rule.conclude("thresholds of what is in use");
}

fn amount(amounts: &BTreeMap<String, Quantity>, resource: &str) -> i128 {
    let amount = amounts.get(resource).copied().unwrap_or_default();
    if resource == "cpu" { amount.milli_value().into() } else { amount.value().into() }
}
