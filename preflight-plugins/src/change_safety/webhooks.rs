//! Webhooks of the release that stand in the way of the cluster's own pods.

use std::collections::BTreeMap;

use preflight_core::release::Release;
use preflight_core::{Examination, FieldPath, Remediation, Subject};
use serde_json::Value;

use super::WEBHOOK_OF_SYSTEM;
use crate::labels::{Labels, selects};

const SYSTEM: &str = "kube-system";

pub(super) fn examine(check: &Examination, release: &Release) {
    let mut rule = check.rule(&WEBHOOK_OF_SYSTEM);
    // Its other labels are not read.
    let labels: Labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), SYSTEM.to_owned())]);
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        for (_, planned) in release.of_kind("admissionregistration.k8s.io", kind) {
            let webhooks = planned.effective["webhooks"].as_array().into_iter().flatten();
            for (at, webhook) in webhooks.enumerate() {
                rule.examined();
                let opens = webhook["failurePolicy"] == "Ignore";
                if opens || !makes_pods(webhook) || !selects(&webhook["namespaceSelector"], &labels) {
                    continue;
                }
                let name = webhook["name"].as_str().unwrap_or_default();
                let message = format!(
                    "{}: the webhook {name} is called for new pods of {SYSTEM}, and refuses them when it does not answer",
                    planned.object.id()
                );
                let remedy = Remediation::new(format!(
                    "Exempt {SYSTEM} with a `namespaceSelector`, or set `failurePolicy: Ignore`"
                ))
                .command(format!(
                    "kubectl get {} {} -o yaml",
                    kind.to_lowercase(),
                    planned.object.display_name()
                ));
                let path = FieldPath::of("webhooks").index(at).key("namespaceSelector");
                rule.warn(Subject::at(&planned.object, &path), message, remedy);
            }
        }
    }
    rule.conclude("webhooks of the release");
}

/// Whether it is called when a pod is made.
fn makes_pods(webhook: &Value) -> bool {
    let mut rules = webhook["rules"].as_array().into_iter().flatten();
    rules.any(|rule| {
        let names = |key: &str, wanted: &[&str]| {
            let mut named = rule[key].as_array().into_iter().flatten().filter_map(Value::as_str);
            named.any(|name| wanted.contains(&name))
        };
        names("operations", &["*", "CREATE"])
            && names("apiGroups", &["*", ""])
            && names("resources", &["*", "*/*", "pods", "pods/*"])
            && rule["scope"] != "Cluster"
    })
}
