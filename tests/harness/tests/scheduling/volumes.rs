//! Claims of a release: volumes made by hand that are within reach of few nodes, claims that one pod may have alone, and
//! drivers that attach no more than so many.

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_harness::Api;
use serde_json::{Value, json};

use crate::cluster::{HOSTNAME, IMAGE, Node, ZONE, pick};
use crate::release::{Tags, Workload};
use crate::state::{Namespaces, run_pods, until};

const DRIVER: &str = "disk.example.com";

/// Gives the first workload of a release claims, and makes what they are bound to.
pub async fn give(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    nodes: &[Node],
    release: &mut [Workload],
    is_new: bool,
    tags: &mut Tags,
) -> Result<(), Failed> {
    let Some(workload) = release.first_mut() else { return Ok(()) };
    if !is_new && matches!(workload.kind, "Job" | "Pod") {
        // Theirs cannot be changed.
        return Ok(());
    }
    match rng.u32(0..4) {
        0 | 1 => late(api, rng, namespaces, nodes, workload, is_new, tags).await,
        2 => bound(api, rng, namespaces, nodes, workload, tags).await,
        _ => attached(api, rng, namespaces, nodes, workload, tags).await,
    }
}

/// Takes away what belongs to no namespace.
pub async fn remove(api: &Api) -> Result<(), Failed> {
    for list in ["/api/v1/persistentvolumes", "/apis/storage.k8s.io/v1/storageclasses"] {
        api.delete(list).await?;
    }
    for node in api.items("/apis/storage.k8s.io/v1/csinodes").await {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        // It may have gone with its node.
        let _ = api.delete(&format!("/apis/storage.k8s.io/v1/csinodes/{name}")).await;
    }
    Ok(())
}

/// Volumes of single nodes, which claims get once their pods have a node.
async fn late(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    nodes: &[Node],
    workload: &mut Workload,
    is_new: bool,
    tags: &mut Tags,
) -> Result<(), Failed> {
    tags.insert("late volumes");
    let class = format!("{}-local", namespaces.app);
    let object = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
    });
    api.create(&object).await?;
    let mode = mode(rng);
    for at in 0..rng.usize(1..=4) {
        let mut volume = volume(&format!("{class}-{at}"), *pick(rng, &[1, 2, 5]), &[mode]);
        volume["spec"]["storageClassName"] = class.clone().into();
        volume["spec"]["local"] = json!({"path": "/data"});
        volume["spec"]["nodeAffinity"] = only(HOSTNAME, &pick(rng, nodes).name);
        api.create(&volume).await?;
    }
    let size = *pick(rng, &[1, 2, 2, 5]);
    let spec = json!({"storageClassName": class, "accessModes": [mode], "resources": {"requests": {"storage": format!("{size}Gi")}}});
    if is_new && workload.kind == "StatefulSet" {
        workload.template_claim("data", spec);
        return Ok(());
    }
    claim(api, namespaces, "data", spec).await?;
    workload.use_claim("data");
    Ok(())
}

/// For one pod alone, or for all on a node.
fn mode(rng: &mut Rng) -> &'static str {
    if rng.u32(0..3) == 0 { "ReadWriteOncePod" } else { "ReadWriteOnce" }
}

/// A claim whose volume is within reach of one node, or of one zone.
async fn bound(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    nodes: &[Node],
    workload: &mut Workload,
    tags: &mut Tags,
) -> Result<(), Failed> {
    tags.insert("bound volumes");
    let mode = mode(rng);
    let node = pick(rng, nodes);
    let affinity = match node.labels.get(ZONE).filter(|_| rng.bool()) {
        Some(zone) => only(ZONE, zone),
        None => only(HOSTNAME, &node.name),
    };
    bind(api, namespaces, "data", mode, Some(affinity)).await?;
    workload.use_claim("data");
    Ok(())
}

/// A driver that attaches one or two volumes to a node, and pods that have some already.
async fn attached(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    nodes: &[Node],
    workload: &mut Workload,
    tags: &mut Tags,
) -> Result<(), Failed> {
    tags.insert("attach limits");
    let limit = rng.u32(1..=2);
    for node in nodes {
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": node.name},
            "spec": {"drivers": [{"name": DRIVER, "nodeID": node.name, "topologyKeys": [], "allocatable": {"count": limit}}]},
        });
        api.create(&object).await?;
    }
    let mut pods = Vec::new();
    for (at, node) in nodes.iter().enumerate().take(15) {
        if rng.u32(0..10) < 7 {
            for n in 0..limit {
                let name = format!("taken-{at}-{n}");
                bind(api, namespaces, &name, "ReadWriteOnce", None).await?;
                pods.push(json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespaces.app},
                    "spec": {
                        "nodeName": node.name, "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "c", "image": IMAGE}],
                        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
                    },
                }));
            }
        }
    }
    run_pods(api, &pods).await?;
    bind(api, namespaces, "data", "ReadWriteOnce", None).await?;
    workload.use_claim("data");
    Ok(())
}

fn volume(name: &str, size: i64, modes: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": format!("{size}Gi")}, "accessModes": modes, "persistentVolumeReclaimPolicy": "Retain"},
    })
}

fn only(key: &str, value: &str) -> Value {
    json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]}})
}

async fn claim(api: &Api, namespaces: &Namespaces, name: &str, spec: Value) -> Result<(), Failed> {
    let metadata = json!({"name": name, "namespace": namespaces.app});
    api.create(
        &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}),
    )
    .await?;
    Ok(())
}

/// A claim and its volume, and waits until the two are bound.
async fn bind(
    api: &Api,
    namespaces: &Namespaces,
    name: &str,
    mode: &str,
    affinity: Option<Value>,
) -> Result<(), Failed> {
    let own = format!("{}-{name}", namespaces.app);
    let mut object = volume(&own, 1, &[mode]);
    object["spec"]["csi"] = json!({"driver": DRIVER, "volumeHandle": own});
    object["spec"]["storageClassName"] = "".into();
    object["spec"]["claimRef"] = json!({"namespace": namespaces.app, "name": name});
    if let Some(affinity) = affinity {
        object["spec"]["nodeAffinity"] = affinity;
    }
    api.create(&object).await?;
    let spec = json!({
        "storageClassName": "", "volumeName": own, "accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}});
    claim(api, namespaces, name, spec).await?;
    let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims/{name}", namespaces.app);
    until("the claim is bound", || async {
        api.get(&path).await.is_ok_and(|claim| claim["status"]["phase"] == "Bound")
    })
    .await
}
