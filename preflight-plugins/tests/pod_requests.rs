//! What pods request is what Kubernetes' own helper says that they do. The vectors are made by
//! `tests/envtest/vectors`, which runs that helper.

#![cfg(any(feature = "resource-capacity", feature = "storage-validation"))]

use std::collections::BTreeSet;

use preflight_core::Quantity;
use preflight_plugins::capacity::requests::{
    Allocated, Containers, ResourceList, limits, quota_limits, quota_requests, requests, running_requests,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    pod: Pod,
    requests: ResourceList,
    running_requests: ResourceList,
    limits: ResourceList,
    quota_requests: ResourceList,
    quota_limits: ResourceList,
}

#[derive(Deserialize)]
struct Pod {
    spec: Containers,
    #[serde(default)]
    status: Allocated,
}

#[test]
fn pods_request_what_kubernetes_says() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/pod-requests.json")).unwrap();
    assert!(vectors.len() >= 300, "only {} vectors", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let Vector { name, pod: Pod { spec, status }, .. } = vector;
        for (figure, ours, theirs) in [
            ("requests", requests(spec), &vector.requests),
            ("running_requests", running_requests(spec, status), &vector.running_requests),
            ("limits", limits(spec), &vector.limits),
            ("quota_requests", quota_requests(spec, status), &vector.quota_requests),
            ("quota_limits", quota_limits(spec, status), &vector.quota_limits),
        ] {
            let of = |list: &ResourceList, resource: &String| list.get(resource).copied().unwrap_or_default();
            for resource in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
                let (ours, theirs): (Quantity, Quantity) = (of(&ours, resource), of(theirs, resource));
                if ours != theirs {
                    wrong.push(format!("{name}: {figure} of {resource} are {theirs}, not {ours}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
