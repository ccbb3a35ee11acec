//! What pruning takes away with its contents.

use preflight_core::cluster::{ClusterError, Reader, Resource};
use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, Subject};
use serde_json::Value;

use super::{DEFINITIONS, DELETES_DATA};

/// Kinds that hold something.
const HOLDING: [(&str, &str); 3] = [
    ("Namespace", "everything in it"),
    ("PersistentVolumeClaim", "its volume, where the class does not retain it"),
    ("PersistentVolume", "what is on it, where it is not retained"),
];

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release) {
    let mut rule = check.rule(&DELETES_DATA);
    let Some(pruning) = check.need(&[&DELETES_DATA], release.pruning()) else { return };
    for gone in &pruning.deletions {
        rule.examined();
        let known = HOLDING.iter().find(|(kind, _)| gone.resource.kind == *kind);
        let with = match known {
            Some((_, with)) => (*with).to_owned(),
            None if gone.resource.kind == "CustomResourceDefinition" => {
                match of_definition(cluster, &gone.name).await {
                    Ok(0) => continue,
                    Ok(count) => format!("the {count} objects that there are of it"),
                    Err(error) => format!("every object of it; how many there are is not known: {error}"),
                }
            }
            None => continue,
        };
        let place = gone.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let subject = format!("{} {place}{}", gone.resource.kind, gone.name);
        let message = format!("{subject} is no longer in the release, and pruning deletes it with {with}");
        let namespace =
            gone.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        let remedy = Remediation::new("Keep it in the release, or take the label away by which it is pruned")
            .command(format!("kubectl get {} {}{namespace} --show-labels", gone.resource.plural, gone.name));
        rule.warn(Subject::new(subject), message, remedy);
    }
    rule.conclude("objects that are pruned");
}

/// How many objects there are of a definition.
async fn of_definition(cluster: &Reader, name: &str) -> Result<usize, ClusterError> {
    let Some(definition) = cluster.get(&DEFINITIONS, None, name).await? else { return Ok(0) };
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = spec["versions"].as_array().into_iter().flatten();
    let Some(served) = versions.clone().find(|version| version["served"] == true) else { return Ok(0) };
    let resource = Resource {
        group: text(&spec["group"]).into(),
        version: text(&served["name"]).into(),
        plural: text(&spec["names"]["plural"]).into(),
        kind: text(&spec["names"]["kind"]).into(),
        namespaced: spec["scope"] == "Namespaced",
    };
    Ok(cluster.select(&resource, None, "").await?.len())
}
