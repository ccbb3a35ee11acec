//! What the API server will be asked when the release is applied, as admission sees it: each object, and what
//! controllers make of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use preflight_core::Subject;
use preflight_core::cluster::{ClusterError, Reader, Resource};
use preflight_core::release::{Action, Deletion, Live, Planned, Release};
use serde_json::{Value, json};

use super::namespaces;
use crate::labels::{self, Labels};

/// One request that will be made.
pub(super) struct Request<'a> {
    /// The object of the release that is behind it, for people: `Deployment shop/web`.
    id: String,
    subject: Subject,
    /// The object's name, where it has one already.
    pub(super) name: Option<String>,
    /// At which place of the release. What is pruned comes after everything.
    pub(super) position: usize,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub(super) operation: &'static str,
    pub(super) resource: Resource,
    pub(super) namespace: Option<&'a str>,
    /// What is sent, as far as it is known.
    pub(super) object: Value,
    pub(super) old: Option<Value>,
    /// Labels of the object, and those that it had.
    pub(super) labels: Vec<Labels>,
    /// Whether a controller makes it, again and again until it succeeds.
    pub(super) by_controller: bool,
    /// Why the release lands without it, if it does.
    pub(super) lands_anyway: Option<&'static str>,
    /// Why it is not known what is there, and so neither whether this is asked at all nor what `old` is.
    pub(super) unseen: Option<String>,
}

impl Request<'_> {
    pub(super) fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// `Deployment shop/web`, or `the pods of Deployment shop/web`.
    pub(super) fn told(&self) -> String {
        match (self.by_controller, self.operation) {
            (true, _) => format!("the {} of {}", self.resource.plural, self.id),
            (false, "DELETE") => format!("the deletion of {}", self.id),
            (false, _) => self.id.clone(),
        }
    }
}

/// Labels of namespaces, as the release leaves them.
pub(super) type NamespaceLabels = BTreeMap<String, Result<Labels, ClusterError>>;

/// Every request, and the labels of the namespaces that they go to.
pub(super) struct Requests<'a> {
    pub(super) all: Vec<Request<'a>>,
    pub(super) namespaces: NamespaceLabels,
}

/// API group, plural and kind.
type Kind = (&'static str, &'static str, &'static str);

/// What controllers make of a workload.
const MADE: &[(&str, &[Kind])] = &[
    ("Deployment", &[("apps", "replicasets", "ReplicaSet"), ("", "pods", "Pod")]),
    ("ReplicaSet", &[("", "pods", "Pod")]),
    ("StatefulSet", &[("apps", "controllerrevisions", "ControllerRevision"), ("", "pods", "Pod")]),
    ("DaemonSet", &[("apps", "controllerrevisions", "ControllerRevision"), ("", "pods", "Pod")]),
    ("ReplicationController", &[("", "pods", "Pod")]),
    ("Job", &[("", "pods", "Pod")]),
    ("CronJob", &[("batch", "jobs", "Job"), ("", "pods", "Pod")]),
];

pub(super) async fn of<'a>(release: &'a Release, cluster: &Reader) -> Requests<'a> {
    let mut all = Vec::new();
    for (position, planned) in release.objects().iter().enumerate() {
        let Some(resource) = planned.serving.resource() else {
            continue;
        };
        let (operations, old, unseen): (&[_], _, _) = match (&planned.live, planned.action) {
            (_, Action::Unchanged) => continue,
            (Live::Present(live), _) => (&["UPDATE"], Some((**live).clone()), None),
            (Live::Unknown(error), _) => (&["CREATE", "UPDATE"], None, Some(error.to_string())),
            _ => (&["CREATE"], None, None),
        };
        let mut seen = vec![labels::of(&planned.effective)];
        seen.extend(old.as_ref().map(labels::of));
        all.extend(operations.iter().map(|operation| Request {
            id: planned.object.id().to_string(),
            subject: Subject::object(&planned.object),
            name: planned.object.name().map(str::to_owned),
            position,
            operation,
            resource: resource.clone(),
            namespace: planned.namespace.as_deref(),
            object: (*planned.effective).clone(),
            old: old.clone(),
            labels: seen.clone(),
            by_controller: false,
            lands_anyway: None,
            unseen: unseen.clone(),
        }));
        made(planned, position, old.as_ref(), unseen.as_ref(), &mut all);
    }
    // That pruning could not be looked at is told by the check that looks at permissions.
    let deletions = release.pruning().map(|pruning| pruning.deletions.as_slice()).unwrap_or_default();
    all.extend(join_all(deletions.iter().map(|gone| deletion(cluster, gone))).await);
    let names: BTreeSet<&str> = all.iter().filter_map(|request| request.namespace).collect();
    let looking = names
        .into_iter()
        .map(|name| async move { (name.to_owned(), labels_of(release, cluster, name).await) });
    let namespaces = join_all(looking).await.into_iter().collect();
    Requests { all, namespaces }
}

/// The request that prunes an object.
async fn deletion<'a>(cluster: &Reader, gone: &'a Deletion) -> Request<'a> {
    let Deletion { resource, namespace, name, .. } = gone;
    let place = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let id = format!("{} {place}{name}", resource.kind);
    let (old, unseen) = match cluster.get(resource, namespace.as_deref(), name).await {
        Ok(old) => (old.map(|old| (*old).clone()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Request {
        subject: Subject::new(&id),
        id,
        name: Some(name.clone()),
        position: usize::MAX,
        operation: "DELETE",
        resource: resource.clone(),
        namespace: namespace.as_deref(),
        object: Value::Null,
        labels: vec![old.as_ref().map(labels::of).unwrap_or_default()],
        old,
        by_controller: false,
        lands_anyway: None,
        unseen,
    }
}

/// What controllers will make of a workload, if anything about its pods changes.
fn made<'a>(
    planned: &'a Planned,
    position: usize,
    old: Option<&Value>,
    unseen: Option<&String>,
    all: &mut Vec<Request<'a>>,
) {
    let Some((_, kinds)) = MADE.iter().find(|(kind, _)| *kind == planned.object.kind()) else {
        return;
    };
    if planned.object.pod_template().is_none() {
        return;
    }
    let spec = &planned.effective["spec"];
    let template = match planned.object.kind() {
        "CronJob" => &spec["jobTemplate"]["spec"]["template"],
        _ => &spec["template"],
    };
    let same_pods = old.is_some_and(|old| {
        let before = &old["spec"];
        holds(&before["template"], &spec["template"])
            && (spec["replicas"].is_null() || before["replicas"] == spec["replicas"])
    });
    let lands_anyway = match planned.object.kind() {
        "CronJob" => Some("the CronJob itself is accepted, and its Jobs will not run"),
        "Job" if spec["suspend"] == true => Some("the Job is suspended"),
        "DaemonSet" => None,
        _ if spec["replicas"].as_i64() == Some(0) => Some("it has no replicas for now"),
        _ if same_pods => Some("its pods stay as they are"),
        _ => None,
    };
    let of_template = labels::of(template);
    for (group, plural, kind) in *kinds {
        let resource = Resource::namespaced(group, "v1", plural, kind);
        let spec = if *kind == "Pod" { template["spec"].clone() } else { Value::Null };
        let namespace = planned.namespace.as_deref();
        let object = json!({
            "apiVersion": if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") },
            "kind": kind,
            "metadata": {"labels": of_template, "namespace": namespace},
            "spec": spec,
        });
        all.push(Request {
            id: planned.object.id().to_string(),
            subject: Subject::object(&planned.object),
            name: None,
            position,
            operation: "CREATE",
            resource,
            namespace,
            object,
            old: None,
            labels: vec![of_template.clone()],
            by_controller: true,
            lands_anyway,
            unseen: unseen.cloned(),
        });
    }
}

/// Whether everything that `wanted` says is said by `there` too.
pub(super) fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (_, Value::Null) => true,
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| there.get(key).map_or(value.is_null(), |there| holds(there, value))),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there.iter().zip(wanted).all(|(there, wanted)| holds(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

/// A namespace's labels as the release leaves them. One that is not there has only its name.
async fn labels_of(release: &Release, cluster: &Reader, name: &str) -> Result<Labels, ClusterError> {
    let live = cluster.get(&namespaces(), None, name).await?;
    let mut all = live.as_deref().map(labels::of).unwrap_or_default();
    let written = release.of_kind("", "Namespace").find(|(_, planned)| planned.object.name() == Some(name));
    if let Some((_, planned)) = written {
        all.extend(labels::of(&planned.effective));
    }
    // The API server labels every namespace with its name (`pkg/registry/core/namespace/strategy.go`, v1.36).
    all.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Ok(all)
}
