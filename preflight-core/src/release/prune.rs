//! What `kubectl apply --prune -l SELECTOR` would delete: what it applied earlier and the release no longer holds.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::Planned;
use super::difference::LAST_APPLIED;
use crate::cluster::{ClusterError, Discovery, Lookup, Reader, Resource};

/// Kinds that kubectl prunes where it is told no others (`pkg/util/prune/prune.go` of kubectl, v1.36).
const KINDS: &[(&str, &str)] = &[
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "Namespace"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("", "Secret"),
    ("", "Service"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "Ingress"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
];

/// An object that pruning deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// Its kind.
    pub resource: Resource,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What pruning looks at and deletes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruning {
    /// The lists that are looked at: kinds, with the namespace where they have one.
    pub lists: Vec<(Resource, Option<String>)>,
    /// What is deleted.
    pub deletions: Vec<Deletion>,
}

/// What applying these objects with that selector deletes. kubectl looks into the namespaces of what it applies.
pub(super) async fn prune(
    objects: &[Planned],
    selector: &str,
    discovery: &Discovery,
    reader: &Reader,
) -> Result<Pruning, ClusterError> {
    let namespaces: BTreeSet<&String> =
        objects.iter().filter_map(|planned| planned.namespace.as_ref()).collect();
    let kept: HashSet<(&str, Option<&str>, &str)> = objects
        .iter()
        .filter_map(|planned| {
            Some((planned.object.kind(), planned.namespace.as_deref(), planned.object.name()?))
        })
        .collect();
    let mut pruning = Pruning::default();
    for (group, kind) in KINDS {
        let Lookup::Served(served) = discovery.lookup(group, "v1", kind) else { continue };
        let resource = &served.resource;
        match resource.namespaced {
            true => pruning.lists.extend(namespaces.iter().map(|ns| (resource.clone(), Some((*ns).clone())))),
            false => pruning.lists.push((resource.clone(), None)),
        }
    }
    for (resource, namespace) in &pruning.lists {
        for object in reader.select(resource, namespace.as_deref(), selector).await? {
            let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else { continue };
            let applied =
                object.pointer("/metadata/annotations").is_some_and(|all| all.get(LAST_APPLIED).is_some());
            if applied && !kept.contains(&(&*resource.kind, namespace.as_deref(), name)) {
                pruning.deletions.push(Deletion {
                    resource: resource.clone(),
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                });
            }
        }
    }
    Ok(pruning)
}
