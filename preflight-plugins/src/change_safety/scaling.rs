//! Numbers of replicas that an autoscaler has set.

use std::collections::BTreeMap;

use futures::future::join_all;
use preflight_core::cluster::Reader;
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Examination, FieldPath, Remediation, Subject};
use serde_json::Value;

use super::{REPLICAS_OF_AUTOSCALER, SCALERS};

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release) {
    let mut rule = check.rule(&REPLICAS_OF_AUTOSCALER);
    let set: Vec<(&Planned, &str, i64)> = release.objects().iter().filter_map(sets_replicas).collect();
    let mut namespaces: Vec<&str> = set.iter().map(|(_, namespace, _)| *namespace).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let looking = namespaces.iter().map(|namespace| cluster.select(&SCALERS, Some(namespace), ""));
    let mut scalers: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (namespace, found) in namespaces.iter().copied().zip(join_all(looking).await) {
        if let Some(found) = check.need(&[&REPLICAS_OF_AUTOSCALER], found) {
            scalers.insert(namespace, found);
        }
    }
    for (planned, namespace, replicas) in set {
        let Some(scalers) = scalers.get(namespace) else { continue };
        rule.examined();
        let Live::Present(live) = &planned.live else { continue };
        let of = |scaler: &&Value| {
            let target = &scaler["spec"]["scaleTargetRef"];
            target["kind"] == planned.object.kind() && target["name"] == planned.object.display_name()
        };
        let has = live["spec"]["replicas"].as_i64().unwrap_or(1);
        let Some(scaler) = scalers.iter().find(of).filter(|_| has != replicas) else { continue };
        let by = scaler["metadata"]["name"].as_str().unwrap_or_default();
        let message = format!(
            "{} has {has} replicas by its HorizontalPodAutoscaler {by}, and is set to {replicas} when it is applied",
            planned.object.id()
        );
        let remedy = Remediation::new("Leave `replicas` out of the manifest")
            .command(format!("kubectl get horizontalpodautoscaler {by} -n {namespace}"));
        rule.warn(Subject::at(&planned.object, &FieldPath::of("spec.replicas")), message, remedy);
    }
    rule.conclude("workloads that set their replicas");
}

/// A workload that is there and says how many pods it wants.
fn sets_replicas(planned: &Planned) -> Option<(&Planned, &str, i64)> {
    let scaled = matches!(planned.object.kind(), "Deployment" | "StatefulSet" | "ReplicaSet");
    let replicas = planned.effective["spec"]["replicas"].as_i64().filter(|_| scaled)?;
    matches!(planned.live, Live::Present(_)).then_some((planned, planned.namespace.as_deref()?, replicas))
}
