//! What controllers and kubelets ask of the API server once a workload is applied, until it has rolled out.

use preflight_core::Subject;
use preflight_core::cluster::Resource;
use preflight_core::release::{Live, Planned, Release};
use serde_json::{Value, json};

use super::requests::Request;
use crate::changes::{Happens, Rollout, rollout};
use crate::labels::{self, Labels};

/// Labels that controllers add, with values that nobody knows before. A key that ends with `/` stands for all that
/// begin with it (`pkg/controller/{deployment,statefulset,daemon,job}`, v1.36).
pub(super) const ADDED: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
];

/// Which of them a kind's pods have.
const ADDED_BY: &[(&str, &[&str])] = &[
    ("Deployment", &["pod-template-hash"]),
    (
        "StatefulSet",
        &["controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"],
    ),
    ("DaemonSet", &["controller-revision-hash", "pod-template-generation"]),
    (
        "Job",
        &["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"],
    ),
    (
        "CronJob",
        &["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"],
    ),
];

/// Adds what comes of a workload, or of a namespace.
pub(super) fn by_controllers<'a>(
    release: &'a Release,
    planned: &'a Planned,
    position: usize,
    all: &mut Vec<Request<'a>>,
) {
    let kind = planned.object.kind();
    if kind == "Namespace" && planned.object.group().is_empty() && matches!(planned.live, Live::Absent) {
        return of_namespace(release, planned, position, all);
    }
    if planned.object.pod_template().is_none() {
        return;
    }
    let spec = &planned.effective["spec"];
    let template = match kind {
        "Pod" => &planned.effective,
        "CronJob" => &spec["jobTemplate"]["spec"]["template"],
        _ => &spec["template"],
    };
    let mut made = Made { planned, position, labels: labels::of(template), spec: &template["spec"], all };
    let mut of_pods = made.labels.clone();
    for (_, added) in ADDED_BY.iter().filter(|(owner, _)| *owner == kind) {
        of_pods.extend(added.iter().map(|key| ((*key).to_owned(), String::new())));
    }
    let Rollout { template, pods, is_update } = rollout(planned, release.method());
    if kind != "Pod" {
        match kind {
            "Deployment" => {
                made.add("CREATE", ("apps", "replicasets", "ReplicaSet"), None, template);
                if is_update {
                    made.add("UPDATE", ("apps", "replicasets", "ReplicaSet"), None, pods);
                }
            }
            "StatefulSet" | "DaemonSet" => {
                made.add("CREATE", ("apps", "controllerrevisions", "ControllerRevision"), None, template);
            }
            "CronJob" => made.add("CREATE", ("batch", "jobs", "Job"), None, pods),
            _ => {}
        }
        if kind == "StatefulSet" && spec["volumeClaimTemplates"].as_array().is_some_and(|all| !all.is_empty())
        {
            let claims = ("", "persistentvolumeclaims", "PersistentVolumeClaim");
            // Claims outlive their pods.
            let claims_made = if is_update && pods == Happens::Yes {
                Happens::Perhaps("whether new claims are made depends on those that are there")
            } else {
                pods
            };
            made.add("CREATE", claims, None, claims_made);
        }
        made.labels = of_pods;
        made.add("CREATE", ("", "pods", "Pod"), None, pods);
        if is_update && template == Happens::Yes && !matches!(kind, "Job" | "ReplicaSet") {
            made.add("DELETE", ("", "pods", "Pod"), None, pods);
        }
        if kind == "Job" {
            // Its finalizer is taken from each pod.
            made.add("UPDATE", ("", "pods", "Pod"), None, pods);
        }
    }
    made.add("CREATE", ("", "pods", "Pod"), Some("binding"), pods);
    made.add("UPDATE", ("", "pods", "Pod"), Some("status"), pods);
    if let (true, Some(own)) = (kind != "Pod", planned.serving.resource()) {
        made.add_own_status(own, pods);
    }
}

/// A namespace gets its ServiceAccount, without which no pod is accepted, and the ConfigMap that every pod mounts.
fn of_namespace<'a>(release: &'a Release, planned: &'a Planned, position: usize, all: &mut Vec<Request<'a>>) {
    let name = planned.object.name();
    let has_pods = release
        .objects()
        .iter()
        .any(|other| other.namespace.as_deref() == name && other.object.pod_template().is_some());
    let needed =
        if has_pods { Happens::Yes } else { Happens::No("no pod of the release is in that namespace") };
    let kinds = [("serviceaccounts", "ServiceAccount"), ("configmaps", "ConfigMap")];
    for (plural, kind) in kinds {
        let resource = Resource::namespaced("", "v1", plural, kind);
        let request = request(planned, position, "CREATE", resource, None, needed);
        let object = json!({"kind": kind, "metadata": {"namespace": name}});
        all.push(Request { namespace: name, object, ..request });
    }
}

struct Made<'a, 'b> {
    planned: &'a Planned,
    position: usize,
    labels: Labels,
    spec: &'a Value,
    all: &'b mut Vec<Request<'a>>,
}

impl Made<'_, '_> {
    fn add(
        &mut self,
        operation: &'static str,
        (group, plural, kind): (&'static str, &'static str, &'static str),
        subresource: Option<&'static str>,
        happens: Happens,
    ) {
        let resource = Resource::namespaced(group, "v1", plural, kind);
        self.push(operation, resource, subresource, happens);
    }

    fn add_own_status(&mut self, own: &Resource, happens: Happens) {
        self.push("UPDATE", own.clone(), Some("status"), happens);
    }

    fn push(
        &mut self,
        operation: &'static str,
        resource: Resource,
        subresource: Option<&'static str>,
        happens: Happens,
    ) {
        let is_pod = resource.plural == "pods";
        // That nothing is made is told once, of the pods.
        if matches!(happens, Happens::No(_)) && !(is_pod && operation == "CREATE" && subresource.is_none()) {
            return;
        }
        let request = request(self.planned, self.position, operation, resource, subresource, happens);
        let api_version = match request.resource.group.is_empty() {
            true => request.resource.version.to_string(),
            false => format!("{}/{}", request.resource.group, request.resource.version),
        };
        let object = json!({
            "apiVersion": api_version,
            "kind": request.resource.kind,
            "metadata": {"labels": self.labels, "namespace": request.namespace, "ownerReferences": [{}]},
            "spec": if is_pod { self.spec.clone() } else { Value::Null },
        });
        self.all.push(Request { object, labels: vec![self.labels.clone()], ..request });
    }
}

fn request<'a>(
    planned: &'a Planned,
    position: usize,
    operation: &'static str,
    resource: Resource,
    subresource: Option<&'static str>,
    happens: Happens,
) -> Request<'a> {
    let (lands_anyway, unseen) = match happens {
        Happens::Yes => (None, None),
        Happens::No(why) => (Some(why), None),
        Happens::Perhaps(why) => (None, Some(why.to_owned())),
    };
    Request {
        id: planned.object.id().to_string(),
        subject: Subject::object(&planned.object),
        name: None,
        position,
        operation,
        resource,
        subresource,
        own_versions: Vec::new(),
        namespace: planned.namespace.as_deref(),
        object: Value::Null,
        old: None,
        labels: vec![Labels::new()],
        by_controller: true,
        lands_anyway,
        unseen,
    }
}
