//! What makes the volumes.

use jiff::Timestamp;
use preflight_core::Decision;
use serde_json::{Value, json};

use crate::support::status;
use crate::world::{
    CLASSES, CSI_NODES, Case, DRIVER, DRIVERS, LEASE, NODES, PODS, VOLUMES, case, claim, class, controller,
    csi_node, expect_all, node_plugin, other_pod, volume, workload,
};

/// A claim that pods use, or those of one node.
fn used(name: &str, kind: &str, fields: &Value) -> Case {
    case(name).releases(&[claim(&json!({})), workload(kind, fields)])
}

#[tokio::test]
async fn drivers_on_nodes() {
    let rule = "driver-missing";
    let first = [csi_node("node-1", &[DRIVER]), csi_node("node-2", &["other.csi.example.com"])];
    let zone = |zone: &str| json!({"nodeSelector": {"zone": zone}});
    expect_all(vec![
        used("on all nodes", "Deployment", &json!({})).passes(&[rule]),
        used("on one of two", "Deployment", &json!({}))
            .lists(CSI_NODES, &first)
            .warns(rule)
            .says("1 of 2 nodes"),
        used("on one of two, and a DaemonSet", "DaemonSet", &json!({})).lists(CSI_NODES, &first).fails(rule),
        used("where the pods may run", "Deployment", &zone("a")).lists(CSI_NODES, &first).passes(&[rule]),
        used("where they may not", "Deployment", &zone("b")).lists(CSI_NODES, &first).fails(rule),
        used("on none", "Deployment", &json!({}))
            .lists(CSI_NODES, &[])
            .fails(rule)
            .says("on none of 2 nodes"),
        used("on none, for there is none", "Deployment", &json!({}))
            .lists(CSI_NODES, &[])
            .lists(NODES, &[])
            .unknown(&[rule]),
        case("on none, and no pod uses the claim").lists(CSI_NODES, &[]).unknown(&[rule]),
        case("on none, not known at all, and no pod uses the claim")
            .lists(CSI_NODES, &[])
            .lists(DRIVERS, &[])
            .fails(rule),
        used("on none, and a volume made by hand", "Deployment", &json!({}))
            .lists(CSI_NODES, &[])
            .lists(VOLUMES, &[volume("v", &json!({"storageClassName": "fast"}))])
            .passes(&["no-volume"]),
        used("of a class that waits", "Deployment", &json!({}))
            .lists(CLASSES, &[class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"}))])
            .lists(CSI_NODES, &[])
            .fails(rule),
        case("of a class that waits, and no pod uses the claim")
            .lists(CLASSES, &[class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"}))])
            .lists(CSI_NODES, &[])
            .lists(DRIVERS, &[])
            .warns(rule),
    ])
    .await;
}

#[tokio::test]
async fn provisioners_that_are_no_drivers() {
    let rule = "driver-missing";
    let of = |name: &str, provisioner: &str| {
        case(name).lists(CLASSES, &[class("fast", &json!({"provisioner": provisioner}))])
    };
    let mut made = volume("v", &json!({"claimRef": {"namespace": "shop", "name": "other"}}));
    made["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": "example.com/nfs"});
    let names = json!({"name": "a", "image": "a:1", "env": [{"name": "PROVISIONER_NAME", "value": "example.com/nfs"}]});
    let local = json!({"name": "a", "image": "rancher/local-path-provisioner:v0.0.32"});
    expect_all(vec![
        of("of which nothing is known", "example.com/nfs").unknown(&[rule]),
        of("that has made a volume", "example.com/nfs").lists(VOLUMES, &[made]).passes(&[rule]),
        of("whose pod is ready", "example.com/nfs").lists(PODS, &[other_pod(&names, true)]).passes(&[rule]),
        of("whose pod is not", "example.com/nfs").lists(PODS, &[other_pod(&names, false)]).unknown(&[rule]),
        of("that is known by its image", "rancher.io/local-path")
            .lists(PODS, &[other_pod(&local, true)])
            .passes(&[rule]),
        of("that was built in", "kubernetes.io/glusterfs")
            .fails(rule)
            .says("is no part of Kubernetes v1.36.3"),
        of("that may still be built in", "kubernetes.io/glusterfs")
            .answers("/version", crate::support::ok(&json!({"gitVersion": "v1.25.3"})))
            .unknown(&[rule]),
        of("that the environment knows", "example.com/nfs")
            .environment(&json!({"storage": {"provisioners": ["example.com/nfs"]}}))
            .passes(&[rule]),
        of("that the environment does not know", "example.com/nfs")
            .environment(&json!({"storage": {"provisioners": ["example.com/other"]}}))
            .unknown(&[rule]),
        of("that is a driver after all, for it is registered", "nfs.example.com")
            .lists(
                CSI_NODES,
                &[csi_node("node-1", &["nfs.example.com"]), csi_node("node-2", &["nfs.example.com"])],
            )
            .passes(&[rule]),
        of("whose name could be a driver's", "nfs.example.com").unknown(&[rule]),
    ])
    .await;
}

#[tokio::test]
async fn drivers_that_are_well_or_not() {
    let rule = "driver-unhealthy";
    let well = || node_plugin("node-plugin-1", true);
    let lease = |renewed: &str| {
        json!({"kind": "Lease", "metadata": {"name": DRIVER}, "spec": {
        "holderIdentity": "controller-1", "leaseDurationSeconds": 15, "renewTime": renewed}})
    };
    let now = Timestamp::now().to_string();
    // Beside the driver lives another one, whose controller it may be.
    let mut neighbour = node_plugin("neighbour", true);
    neighbour["spec"]["volumes"][0]["hostPath"]["path"] =
        "/var/lib/kubelet/plugins/other.csi.example.com".into();
    expect_all(vec![
        case("all is ready").passes(&[rule]),
        case("the controller is not")
            .lists(PODS, &[controller(false), well()])
            .fails(rule)
            .says("none of 1 pods of its controller"),
        case("no node plugin is")
            .lists(PODS, &[controller(true), node_plugin("a", false), node_plugin("b", false)])
            .fails(rule)
            .says("none of 2 pods"),
        case("one node plugin is not")
            .lists(PODS, &[controller(true), well(), node_plugin("b", false)])
            .warns(rule),
        case("nothing is seen").lists(PODS, &[]),
        case("the node plugin alone is seen").lists(PODS, &[well()]).passes(&[rule]),
        case("a controller that may be another's")
            .lists(PODS, &[controller(false), well(), neighbour])
            .passes(&[rule]),
        case("a leader").lists(PODS, &[]).holds(LEASE, &lease(&now)).passes(&[rule]),
        case("a leader of long ago").lists(PODS, &[]).holds(LEASE, &lease("2020-01-01T00:00:00.000000Z")),
        case("a Lease that may not be read")
            .lists(PODS, &[])
            .answers(LEASE, status(403, "forbidden"))
            .unknown(&[rule]),
        case("a controller, and no telling whose it is")
            .lists(PODS, &[controller(false)])
            .is(Decision::Go, &[]),
    ])
    .await;
}
