//! What ConfigMaps and Secrets lose that pods read which the release does not make: keys that go, and what is pruned.

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::cluster::{Reader, Resource};
use preflight_core::release::{Live, Release};
use preflight_core::{Examination, FieldPath, Remediation, Subject};
use serde_json::Value;

use super::KEYS_TAKEN_AWAY;
use crate::labels::{self, selects};
use crate::told::some;
use crate::updates::before_and_after;

static PODS: Resource = Resource::namespaced("", "v1", "pods", "Pod");
/// How many pods are told.
const TOLD: usize = 3;

/// What an object loses.
struct Loss {
    subject: Subject,
    id: String,
    kind: &'static str,
    namespace: String,
    name: String,
    /// The keys that go; none where the object goes as a whole.
    keys: Option<Vec<String>>,
}

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release) {
    let mut rule = check.rule(&KEYS_TAKEN_AWAY);
    let kept = release.of_kind("", "ConfigMap").chain(release.of_kind("", "Secret")).count();
    rule.examined_many(kept);
    let losses = losses(release);
    let namespaces: BTreeSet<&str> = losses.iter().map(|loss| loss.namespace.as_str()).collect();
    let reading = namespaces.iter().map(|namespace| cluster.select(&PODS, Some(namespace), ""));
    for (namespace, pods) in namespaces.iter().zip(join_all(reading).await) {
        let Some(pods) = check.need(&[&KEYS_TAKEN_AWAY], pods) else { continue };
        let running = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let others: Vec<&Value> =
            pods.iter().filter(running).filter(|pod| !is_of_release(pod, release, namespace)).collect();
        for loss in losses.iter().filter(|loss| loss.namespace == *namespace) {
            rule.examined();
            let users: Vec<String> =
                others.iter().filter(|pod| uses(pod, loss)).map(|pod| name(pod).to_owned()).collect();
            if users.is_empty() {
                continue;
            }
            let what = match &loss.keys {
                Some(keys) => format!("{} loses {}", loss.id, some(keys, TOLD)),
                None => format!("{} is pruned", loss.id),
            };
            let message =
                format!("{what}, which pods read that are not of the release: {}", some(&users, TOLD));
            let remedy = Remediation::new("Keep it until nothing reads it any more")
                .command(format!("kubectl get {} {} -n {namespace} -o yaml", loss.kind, loss.name));
            rule.warn(loss.subject.clone(), message, remedy);
        }
    }
    rule.conclude("ConfigMaps and Secrets");
}

fn losses(release: &Release) -> Vec<Loss> {
    let mut losses = Vec::new();
    for (_, planned) in release.of_kind("", "ConfigMap") {
        let (Live::Present(live), Some(name)) = (&planned.live, planned.object.name()) else { continue };
        let Some((_, after)) = before_and_after(planned, release.method()) else { continue };
        let had = keys(live);
        let has = keys(&after);
        let gone: Vec<String> = had.difference(&has).cloned().collect();
        if !gone.is_empty() {
            losses.push(Loss {
                subject: Subject::at(&planned.object, &FieldPath::of("data")),
                id: planned.object.id().to_string(),
                kind: "configmap",
                namespace: planned.namespace.clone().unwrap_or_default(),
                name: name.to_owned(),
                keys: Some(gone),
            });
        }
    }
    let pruned = release.pruning().map(|pruning| pruning.deletions.as_slice()).unwrap_or_default();
    for gone in pruned {
        let kind = match (&*gone.resource.group, &*gone.resource.kind) {
            ("", "ConfigMap") => "configmap",
            ("", "Secret") => "secret",
            _ => continue,
        };
        let namespace = gone.namespace.clone().unwrap_or_default();
        let id = format!("{} {namespace}/{}", gone.resource.kind, gone.name);
        losses.push(Loss {
            subject: Subject::new(&id),
            id,
            kind,
            namespace,
            name: gone.name.clone(),
            keys: None,
        });
    }
    losses
}

fn keys(object: &Value) -> BTreeSet<String> {
    let maps = ["data", "binaryData"].into_iter().filter_map(|key| object[key].as_object());
    maps.flat_map(|map| map.keys().cloned()).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether the release's own workloads make such a pod: what these read is looked at where they are.
fn is_of_release(pod: &Value, release: &Release, namespace: &str) -> bool {
    let labels = labels::of(pod);
    release.objects().iter().filter(|planned| planned.namespace.as_deref() == Some(namespace)).any(
        |planned| {
            let own = planned.object.kind() == "Pod" && planned.object.name() == Some(name(pod));
            let selector = &planned.effective["spec"]["selector"];
            let makes = planned.object.pod_template().is_some() && selector.is_object();
            own || (makes && selects(selector, &labels))
        },
    )
}

/// Whether a pod reads what goes.
fn uses(pod: &Value, loss: &Loss) -> bool {
    let spec = &pod["spec"];
    let all = |list: &'static str| spec[list].as_array().into_iter().flatten();
    let (by_key, whole, volume, named) = match loss.kind {
        "secret" => ("secretKeyRef", "secretRef", "secret", "secretName"),
        _ => ("configMapKeyRef", "configMapRef", "configMap", "name"),
    };
    let takes = |key: &Value| loss.keys.as_ref().is_none_or(|keys| keys.iter().any(|gone| *key == **gone));
    // Of items only these are read; without any, everything is.
    let items = |source: &Value| match source["items"].as_array() {
        Some(items) => items.iter().any(|item| takes(&item["key"])),
        None => true,
    };
    let by_variables = all("containers").chain(all("initContainers")).any(|container| {
        let list = |key: &str| container[key].as_array().cloned().unwrap_or_default();
        let single = list("env").into_iter().any(|variable| {
            let source = &variable["valueFrom"][by_key];
            source["name"] == *loss.name && source["optional"] != true && takes(&source["key"])
        });
        let every = |source: &Value| source[whole]["name"] == *loss.name && source[whole]["optional"] != true;
        single || list("envFrom").iter().any(every)
    });
    by_variables
        || all("volumes").any(|one| {
            let source = &one[volume];
            let projected = one["projected"]["sources"].as_array().into_iter().flatten();
            (source[named] == *loss.name && items(source))
                || projected
                    .map(|source| &source[volume])
                    .any(|source| source["name"] == *loss.name && items(source))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_read_keys_in_many_ways() {
        let loss = |keys: Option<&[&str]>| Loss {
            subject: Subject::new("it"),
            id: String::new(),
            kind: "configmap",
            namespace: String::new(),
            name: "c".to_owned(),
            keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
        };
        let env = json!({"spec": {"containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}]}});
        let from = json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}});
        let volume = json!({"spec": {"volumes": [{"configMap": {"name": "c", "items": [{"key": "k"}]}}]}});
        let projected =
            json!({"spec": {"volumes": [{"projected": {"sources": [{"configMap": {"name": "c"}}]}}]}});
        let other =
            json!({"spec": {"volumes": [{"configMap": {"name": "d"}}, {"secret": {"secretName": "c"}}]}});
        for (pod, of_k, of_x, of_all) in [
            (&env, true, false, true),
            (&from, true, true, true),
            (&volume, true, false, true),
            (&projected, true, true, true),
            (&other, false, false, false),
        ] {
            assert_eq!(uses(pod, &loss(Some(&["k"]))), of_k, "{pod}");
            assert_eq!(uses(pod, &loss(Some(&["x"]))), of_x, "{pod}");
            assert_eq!(uses(pod, &loss(None)), of_all, "{pod}");
        }
    }
}
