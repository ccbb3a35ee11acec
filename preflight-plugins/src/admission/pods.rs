//! The pods that controllers make of the release's workloads.

use preflight_core::FieldPath;
use preflight_core::release::Planned;
use serde_json::{Map, Value, json};

use crate::intercept::claims;

/// Stands for the hash of a template.
const HASH: &str = "6d4cf56db6";
/// Stands for the UID of an owner that is not there yet.
const UID: &str = "00000000-0000-0000-0000-000000000001";

/// A Pod as it is made of a template, and where the template's `metadata` and `spec` are.
pub(super) struct Made {
    pub(super) metadata: Value,
    pub(super) spec: Value,
    pub(super) path: FieldPath,
}

/// The Pod that is made of a workload's template. A Pod of the release is none: it is looked at itself.
pub(super) fn of_template(planned: &Planned) -> Option<Made> {
    let template = planned.object.pod_template().filter(|_| planned.object.kind() != "Pod")?;
    let path = template.spec_path("").parent();
    let object = &*planned.effective;
    let pointer = match planned.object.kind() {
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    let template = object.pointer(pointer)?;
    let mut metadata = Map::new();
    for key in ["labels", "annotations"] {
        if template["metadata"][key].is_object() {
            metadata.insert(key.to_owned(), template["metadata"][key].clone());
        }
    }
    let mut spec = template["spec"].clone();
    claims(object, &mut spec, |name| format!("{name}-0").into());
    Some(Made { metadata: metadata.into(), spec, path })
}

impl Made {
    /// The Pod as a controller sends it: with an owner, and with the labels that controllers add.
    pub(super) fn pod(&self, workload: &Planned, namespace: &str) -> Value {
        let object = &workload.object;
        // A generated name ends with a dash until it is one.
        let (name, kind) = (object.display_name().trim_end_matches('-'), object.kind());
        let mut metadata = self.metadata.clone();
        metadata["generateName"] = format!("{name}-").into();
        metadata["namespace"] = namespace.into();
        let (version, kind, owner) = match kind {
            "Deployment" => ("apps/v1", "ReplicaSet", format!("{name}-{HASH}")),
            "CronJob" => ("batch/v1", "Job", format!("{name}-{HASH}")),
            "Job" => ("batch/v1", kind, name.to_owned()),
            "ReplicationController" => ("v1", kind, name.to_owned()),
            _ => ("apps/v1", kind, name.to_owned()),
        };
        match kind {
            "ReplicaSet" if object.kind() == "Deployment" => {
                metadata["labels"]["pod-template-hash"] = HASH.into()
            }
            "StatefulSet" | "DaemonSet" => {
                metadata["labels"]["controller-revision-hash"] = HASH.into();
            }
            "Job" => {
                for key in ["job-name", "batch.kubernetes.io/job-name"] {
                    metadata["labels"][key] = owner.as_str().into();
                }
                for key in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
                    metadata["labels"][key] = UID.into();
                }
                metadata["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
            }
            _ => {}
        }
        metadata["ownerReferences"] =
            json!([{"apiVersion": version, "kind": kind, "name": owner, "uid": UID, "controller": true}]);
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec})
    }
}
