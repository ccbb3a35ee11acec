//! Operators that the environment requires, and APIs that other servers serve.

use jiff::Timestamp;
use preflight_core::Decision;
use serde_json::{Value, json};

use crate::support::status;
use crate::world::{APIS, Case, PODS, Requires, case, expect_all, list};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/keeper";
const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/shop/statefulsets/keeper";
const DAEMON_SET: &str = "/apis/apps/v1/namespaces/shop/daemonsets/keeper";
const VERSION: &str = "/apis/operators.coreos.com/v1alpha1/namespaces/shop/clusterserviceversions/keeper";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/keeper";

/// The rules about operators, but for their Leases.
const OF_OPERATORS: [&str; 4] =
    ["operator-missing", "operator-not-ready", "operator-crash-loop", "operator-not-observed"];

fn workload(kind: &str, replicas: i64, status: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": "keeper", "namespace": "shop", "generation": 2},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "keeper"}}},
        "status": status,
    })
}

fn deployment(replicas: i64, status: &Value) -> Value {
    workload("Deployment", replicas, status)
}

fn well() -> Value {
    deployment(1, &json!({"observedGeneration": 2, "readyReplicas": 1}))
}

/// An operator that is found so.
fn with(name: &str, way: &str, path: &str, object: &Value) -> Case {
    case(name).requires(&json!({"namespace": "shop", way: "keeper"})).holds(path, object).lists(PODS, &[])
}

fn with_deployment(name: &str, object: &Value) -> Case {
    with(name, "deployment", DEPLOYMENT, object)
}

fn with_version(name: &str, phase: &Value) -> Case {
    let version = json!({
        "kind": "ClusterServiceVersion", "metadata": {"name": "keeper", "namespace": "shop"},
        "status": {"phase": phase, "message": "so it is"},
    });
    with(name, "cluster_service_version", VERSION, &version)
}

fn with_lease(name: &str, spec: &Value) -> Case {
    let lease = json!({"kind": "Lease", "metadata": {"name": "keeper", "namespace": "shop"}, "spec": spec});
    leased(name).holds(LEASE, &lease)
}

fn leased(name: &str) -> Case {
    with_deployment(name, &well())
        .requires(&json!({"namespace": "shop", "deployment": "keeper", "lease": "keeper"}))
}

#[tokio::test]
async fn workloads() {
    let not_ready =
        |observed: i64, ready: i64| json!({"observedGeneration": observed, "readyReplicas": ready});
    let daemons = |ready: i64, wanted: i64| {
        workload(
            "DaemonSet",
            0,
            &json!({"observedGeneration": 2, "numberReady": ready, "desiredNumberScheduled": wanted}),
        )
    };
    let nowhere = with_deployment("a Deployment that is not there", &well()).lacks(DEPLOYMENT);
    let waiting = json!({"kind": "Pod", "metadata": {"name": "keeper-1"}, "status": {"containerStatuses": [
        {"name": "c", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    let selected = json!({"namespace": "shop", "selector": "app=keeper"});
    let workloads = |kind: &str| format!("/apis/apps/v1/namespaces/shop/{kind}");
    expect_all(vec![
        with_deployment("a Deployment that is ready", &well()).passes(&OF_OPERATORS),
        with_deployment("whose change nobody has looked at", &deployment(1, &not_ready(1, 1)))
            .fails("operator-not-observed"),
        with_deployment("of which nobody has looked at anything", &deployment(1, &json!({})))
            .is(Decision::NoGo, &[("operator-not-observed", "failed"), ("operator-not-ready", "failed")]),
        with_deployment("none of whose pods is ready", &deployment(2, &not_ready(2, 0)))
            .fails("operator-not-ready"),
        with_deployment("some of whose pods are ready", &deployment(3, &not_ready(2, 1)))
            .warns("operator-not-ready"),
        with_deployment("that is switched off", &deployment(0, &not_ready(2, 0))).fails("operator-not-ready"),
        with_deployment("one of whose pods crashes", &well())
            .lists(PODS, &[waiting])
            .fails("operator-crash-loop"),
        nowhere.is(
            Decision::NoGo,
            &[
                ("operator-missing", "failed"),
                ("operator-not-ready", "skipped"),
                ("operator-crash-loop", "skipped"),
                ("operator-not-observed", "skipped"),
            ],
        ),
        with(
            "a StatefulSet that is not ready",
            "stateful_set",
            STATEFUL_SET,
            &workload("StatefulSet", 2, &not_ready(2, 0)),
        )
        .fails("operator-not-ready"),
        with(
            "a StatefulSet that is partly ready",
            "stateful_set",
            STATEFUL_SET,
            &workload("StatefulSet", 2, &not_ready(2, 1)),
        )
        .warns("operator-not-ready"),
        with(
            "a StatefulSet that is ready",
            "stateful_set",
            STATEFUL_SET,
            &workload("StatefulSet", 2, &not_ready(2, 2)),
        )
        .passes(&OF_OPERATORS),
        with("a DaemonSet that is not ready", "daemon_set", DAEMON_SET, &daemons(0, 3))
            .fails("operator-not-ready"),
        with("a DaemonSet that is partly ready", "daemon_set", DAEMON_SET, &daemons(2, 3))
            .warns("operator-not-ready"),
        with("a DaemonSet that is ready", "daemon_set", DAEMON_SET, &daemons(3, 3)).passes(&OF_OPERATORS),
        with("a DaemonSet that no node takes", "daemon_set", DAEMON_SET, &daemons(0, 0))
            .fails("operator-not-ready"),
        case("two by their labels, one of which is not ready")
            .requires(&selected)
            .lists(&workloads("deployments"), &[well()])
            .lists(&workloads("statefulsets"), &[workload("StatefulSet", 1, &not_ready(2, 0))])
            .lists(&workloads("daemonsets"), &[])
            .lists(PODS, &[])
            .fails("operator-not-ready"),
        case("one kind of which may not be listed")
            .requires(&selected)
            .lists(&workloads("deployments"), &[well()])
            .lists(&workloads("statefulsets"), &[])
            .answers(&workloads("daemonsets"), status(403, "forbidden"))
            .lists(PODS, &[])
            .unknown(&[
                "operator-missing",
                "operator-not-ready",
                "operator-crash-loop",
                "operator-not-observed",
            ]),
    ])
    .await;
}

#[tokio::test]
async fn cluster_service_versions() {
    let absent =
        with_version("a ClusterServiceVersion that is not there", &json!("Succeeded")).lacks(VERSION);
    expect_all(vec![
        with_version("one that is installed", &json!("Succeeded"))
            .passes(&["operator-missing", "operator-not-ready"]),
        with_version("one that is being installed", &json!("Installing")).fails("operator-not-ready"),
        with_version("one that failed", &json!("Failed")).fails("operator-not-ready"),
        with_version("one that says nothing", &json!(null)).fails("operator-not-ready"),
        with_version("one that may not be read", &json!("Succeeded"))
            .answers(VERSION, status(403, "forbidden"))
            .unknown(&OF_OPERATORS),
        absent.is(
            Decision::NoGo,
            &[
                ("operator-missing", "failed"),
                ("operator-not-ready", "skipped"),
                ("operator-crash-loop", "skipped"),
                ("operator-not-observed", "skipped"),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn leases() {
    let now = Timestamp::now().to_string();
    let held = |renewed: &str| json!({"holderIdentity": "keeper-1", "leaseDurationSeconds": 15, "renewTime": renewed});
    expect_all(vec![
        with_lease("a Lease that was renewed now", &held(&now)).passes(&["leader-lease"]),
        with_lease("that was renewed long ago", &held("2020-01-01T00:00:00.000000Z")).fails("leader-lease"),
        with_lease("that nobody holds", &json!({"leaseDurationSeconds": 15, "renewTime": now}))
            .fails("leader-lease"),
        with_lease("that was given up", &json!({"holderIdentity": "", "renewTime": now}))
            .fails("leader-lease"),
        with_lease("that does not say when it was renewed", &json!({"holderIdentity": "keeper-1"}))
            .unknown(&["leader-lease"]),
        with_lease("whose time is none", &held("yesterday")).unknown(&["leader-lease"]),
        leased("that is not there").lacks(LEASE).fails("leader-lease"),
        leased("that may not be read")
            .answers(LEASE, status(403, "forbidden"))
            .unknown(&["leader-lease"])
            .passes(&OF_OPERATORS),
    ])
    .await;
}

#[tokio::test]
async fn pods_that_may_not_be_read_leave_the_rest_decided() {
    let half = json!({"kind": "PodList", "metadata": {"continue": "more"}, "items": []});
    expect_all(vec![
        with_deployment("pods that may not be listed", &well())
            .answers(PODS, status(403, "forbidden"))
            .unknown(&["operator-crash-loop"])
            .passes(&["operator-missing", "operator-not-ready", "operator-not-observed"]),
        with_deployment("pods of which half are listed", &well())
            .holds(PODS, &half)
            .answers(&format!("{PODS} continued"), status(403, "forbidden"))
            .unknown(&["operator-crash-loop"]),
        with_deployment("pods in two parts", &well())
            .holds(PODS, &half)
            .holds(&format!("{PODS} continued"), &list(&[]))
            .passes(&OF_OPERATORS),
    ])
    .await;
}

#[tokio::test]
async fn apis_of_other_servers() {
    let api = |conditions: &Value| {
        let service = json!({"namespace": "shop", "name": "metrics"});
        json!({"metadata": {"name": "v1.metrics.k8s.io"}, "spec": {"service": service}, "status": {"conditions": conditions}})
    };
    let is = |status: &str| json!([{"type": "Available", "status": status, "message": "so it is"}]);
    let own = json!({"metadata": {"name": "v1.apps"}, "spec": {}, "status": {"conditions": []}});
    let rule = "api-service-unavailable";
    expect_all(vec![
        case("an API that answers").lists(APIS, &[api(&is("True")), own.clone()]).passes(&[rule]),
        case("one that does not").lists(APIS, &[api(&is("False"))]).warns(rule),
        case("one of which it is not known").lists(APIS, &[api(&is("Unknown"))]).warns(rule),
        case("one that nobody has looked at").lists(APIS, &[api(&json!([]))]).warns(rule),
        case("one of the API server itself").lists(APIS, &[own]),
    ])
    .await;
}
