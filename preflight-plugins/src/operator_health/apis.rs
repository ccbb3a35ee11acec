//! APIs that other servers serve.

use preflight_core::cluster::Reader;
use preflight_core::{Examination, Remediation, Subject, view};
use serde::Deserialize;

use super::API_SERVICE_UNAVAILABLE;

/// What is looked at of an APIService.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiService {
    spec: Spec,
    status: Status,
}

view!(ApiService: cluster "apiregistration.k8s.io" "v1" "apiservices" "APIService");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    /// None for those that the API server itself serves.
    service: Option<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    namespace: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: String,
}

/// That the release holds nothing of what is not available, `cluster-connectivity` looks at.
pub(super) async fn examine(check: &Examination, cluster: &Reader) {
    let listed = cluster.list::<ApiService>().await;
    let Some(apis) = check.need(&[&API_SERVICE_UNAVAILABLE], listed) else {
        return;
    };
    let mut rule = check.rule(&API_SERVICE_UNAVAILABLE);
    for (_, name, api) in apis.iter() {
        let Some(service) = &api.spec.service else { continue };
        rule.examined();
        // Nobody has looked at one that says nothing, and it counts as not available
        // (`IsAPIServiceConditionTrue`, `staging/src/k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper`, v1.36).
        let condition = api.status.conditions.iter().find(|condition| condition.kind == "Available");
        if condition.is_none_or(|condition| condition.status != "True") {
            let why = condition.map_or("nobody has looked at it yet", |condition| &condition.message);
            rule.warn(
                Subject::new(format!("APIService {name}")),
                format!("{name} is not available: {why}"),
                Remediation::new(format!(
                    "Mend the Service {}/{} behind it, or remove the APIService",
                    service.namespace, service.name
                ))
                .command(format!("kubectl describe apiservice {name}")),
            );
        }
    }
    rule.conclude("APIs that other servers serve");
}
