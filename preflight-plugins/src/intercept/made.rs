//! What controllers and kubelets ask of the API server once a workload is applied, until it has rolled out.

use preflight_core::cluster::Resource;
use preflight_core::release::{Live, Planned, Release};
use serde_json::{Value, json};

use super::requests::Request;
use crate::cel::UNKNOWN;
use crate::changes::{Happens, Rollout, rollout};
use crate::effective::{Surroundings, created, mark, only};
use crate::labels::{self, Labels};

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
    surroundings: Surroundings,
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
    let pod = pod(planned, template, surroundings);
    let mut made = Made { planned, position, labels: labels::of(template), pod, template, all };
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
        let metadata = only(&[("namespace", json!(name)), ("name", UNKNOWN.into())]);
        let object = only(&[("apiVersion", json!("v1")), ("kind", json!(kind)), ("metadata", metadata)]);
        all.push(Request { namespace: name, object, ..request });
    }
}

struct Made<'a, 'b> {
    planned: &'a Planned,
    position: usize,
    labels: Labels,
    /// A pod that is made, as admission sees it.
    pod: Value,
    template: &'a Value,
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
        let (object, old) = match (request.resource.plural.as_ref(), operation, subresource) {
            ("pods", "CREATE", None) => (self.pod.clone(), None),
            // It was made of another template.
            ("pods", "DELETE", None) => (Value::Null, Some(self.of_unknown_content(&request))),
            ("pods", _, None) => (marked(&self.pod), Some(marked(&self.pod))),
            ("pods", _, Some("status")) => (marked(&self.pod), Some(marked(&self.pod))),
            (_, "CREATE", None) => (self.other(&request), None),
            (_, "CREATE", _) => (self.of_unknown_content(&request), None),
            _ => (self.of_unknown_content(&request), Some(self.of_unknown_content(&request))),
        };
        let labels = vec![self.labels_of(&request)];
        self.all.push(Request { object, old, labels, ..request });
    }

    /// The labels of what a controller makes, or writes the status of.
    fn labels_of(&self, request: &Request<'_>) -> Labels {
        let owner = &self.planned.effective;
        match (request.resource.plural.as_ref(), request.subresource) {
            ("persistentvolumeclaims", None) => {
                let templates = owner["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
                let mut labels: Labels = templates.flat_map(labels::of).collect();
                labels.extend(labels::of(
                    &json!({"metadata": {"labels": owner["spec"]["selector"]["matchLabels"]}}),
                ));
                labels
            }
            ("jobs", None) if self.planned.object.kind() == "CronJob" => {
                labels::of(&owner["spec"]["jobTemplate"])
            }
            // What goes, or is scaled down, was made of the template before.
            ("pods", None) if request.operation == "DELETE" => self.labels_before(),
            ("replicasets", None) if request.operation == "UPDATE" => self.labels_before(),
            (_, Some("status")) if request.resource.plural != "pods" => labels::of(owner),
            _ => self.labels.clone(),
        }
    }

    /// The labels of pods that were made of the template before.
    fn labels_before(&self) -> Labels {
        let Live::Present(live) = &self.planned.live else { return self.labels.clone() };
        let mut labels = labels::of(&live["spec"]["template"]);
        let added = ADDED_BY.iter().filter(|(owner, _)| *owner == self.planned.object.kind());
        labels.extend(added.flat_map(|(_, keys)| keys.iter().map(|key| ((*key).to_owned(), String::new()))));
        labels
    }

    /// An object that a controller makes besides pods.
    fn other(&self, request: &Request<'_>) -> Value {
        let owner = &self.planned.effective;
        match request.resource.kind.as_ref() {
            "Job" => {
                let template = &owner["spec"]["jobTemplate"];
                let mut metadata = template["metadata"].clone();
                if !metadata.is_object() {
                    metadata = json!({});
                }
                metadata["namespace"] = json!(request.namespace);
                metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = UNKNOWN.into();
                metadata["ownerReferences"] = json!([reference(owner, "batch/v1", "CronJob")]);
                let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]});
                created(&job, Surroundings::default())
            }
            "ReplicaSet" => {
                let mut object = self.of_unknown_content(request);
                object["metadata"]["labels"] = marked(&json!(self.labels));
                object["metadata"]["ownerReferences"] = json!([reference(owner, "apps/v1", "Deployment")]);
                object["spec"] = only(&[("template", marked(self.template)), ("replicas", UNKNOWN.into())]);
                object
            }
            _ => self.of_unknown_content(request),
        }
    }

    fn of_unknown_content(&self, request: &Request<'_>) -> Value {
        let version = match request.resource.group.is_empty() {
            true => request.resource.version.to_string(),
            false => format!("{}/{}", request.resource.group, request.resource.version),
        };
        let metadata = [("name", UNKNOWN.into()), ("namespace", json!(request.namespace))];
        only(&[
            ("apiVersion", version.into()),
            ("kind", json!(request.resource.kind)),
            ("metadata", only(&metadata)),
        ])
    }
}

/// Whether all pods are made right after the workload is applied. Else they come one by one, as those before get ready.
fn at_once(planned: &Planned) -> bool {
    let spec = &planned.effective["spec"];
    let fresh = matches!(planned.live, Live::Absent);
    match planned.object.kind() {
        "Deployment" | "DaemonSet" => fresh || spec["replicas"].as_u64().is_none_or(|replicas| replicas < 2),
        "StatefulSet" => {
            let one = spec["replicas"].as_u64().is_none_or(|replicas| replicas < 2);
            one || (fresh && spec["podManagementPolicy"] == "Parallel")
        }
        "Job" => spec["completions"].as_u64() == spec["parallelism"].as_u64(),
        "CronJob" => false,
        _ => true,
    }
}

fn marked(value: &Value) -> Value {
    let mut value = value.clone();
    mark(&mut value);
    value
}

fn reference(owner: &Value, version: &str, kind: &str) -> Value {
    let name = if owner["kind"] == kind { owner["metadata"]["name"].clone() } else { UNKNOWN.into() };
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": UNKNOWN, "controller": true,
        "blockOwnerDeletion": true})
}

/// A pod of a workload as admission sees it when its controller makes it
/// (`pkg/controller/controller_utils.go`, `GetPodFromTemplate`, v1.36, and what each controller adds).
fn pod(planned: &Planned, template: &Value, surroundings: Surroundings) -> Value {
    let kind = planned.object.kind();
    let mut metadata = json!({"namespace": planned.namespace, "name": UNKNOWN});
    for key in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][key].is_null() {
            metadata[key] = template["metadata"][key].clone();
        }
    }
    for (_, added) in ADDED_BY.iter().filter(|(owner, _)| *owner == kind) {
        for key in *added {
            metadata["labels"][*key] = UNKNOWN.into();
        }
    }
    let mut spec = template["spec"].clone();
    let (version, owner) = match kind {
        "Deployment" => ("apps/v1", "ReplicaSet"),
        "CronJob" => ("batch/v1", "Job"),
        "Job" => ("batch/v1", "Job"),
        "ReplicationController" => ("v1", "ReplicationController"),
        _ => ("apps/v1", kind),
    };
    if kind != "Pod" {
        metadata["ownerReferences"] = json!([reference(&planned.effective, version, owner)]);
        if kind != "StatefulSet" {
            metadata["generateName"] = UNKNOWN.into();
        }
    }
    match kind {
        "StatefulSet" => {
            spec["hostname"] = UNKNOWN.into();
            spec["subdomain"] = planned.effective["spec"]["serviceName"].clone();
            claims(&planned.effective, &mut spec, |_| UNKNOWN.into());
        }
        "DaemonSet" => {
            spec["affinity"] = UNKNOWN.into();
            spec["tolerations"] = UNKNOWN.into();
        }
        "Job" | "CronJob" => {
            metadata["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
            let of_job = if kind == "Job" { "/spec" } else { "/spec/jobTemplate/spec" };
            let of_job = planned.effective.pointer(of_job).unwrap_or(&Value::Null);
            if of_job["completionMode"] == "Indexed" {
                spec["hostname"] = UNKNOWN.into();
                metadata["annotations"]["batch.kubernetes.io/job-completion-index"] = UNKNOWN.into();
                metadata["labels"]["batch.kubernetes.io/job-completion-index"] = UNKNOWN.into();
                for container in spec["containers"].as_array_mut().into_iter().flatten() {
                    container["env"] = UNKNOWN.into();
                }
            }
        }
        _ => {}
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    created(&pod, surroundings)
}

/// A StatefulSet's pods get a volume for each of its claims, in the place of one of the same name. `claim` says the claim's
/// name, by that of its template.
pub(crate) fn claims(object: &Value, spec: &mut Value, claim: impl Fn(&str) -> Value) {
    let templates = object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let volumes: Vec<Value> = templates
        .map(|template| {
            let name = &template["metadata"]["name"];
            json!({"name": name, "persistentVolumeClaim": {"claimName": name.as_str().map(&claim)}})
        })
        .collect();
    if volumes.is_empty() {
        return;
    }
    let own = spec["volumes"].as_array().cloned().unwrap_or_default();
    let others = own.into_iter().filter(|own| volumes.iter().all(|volume| volume["name"] != own["name"]));
    spec["volumes"] = others.collect::<Vec<_>>().into_iter().chain(volumes.clone()).collect();
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
        subresource,
        by_controller: true,
        at_once: at_once(planned),
        lands_anyway,
        unseen,
        ..Request::of(planned, position, operation, resource)
    }
}
