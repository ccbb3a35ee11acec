//! Clusters that a real control plane does not show, or not at will: what cannot be read, metrics that are dead or stale,
//! lists that are cut short. What could not be looked at may never be told as go.
#![cfg(feature = "resource-capacity")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the table is printed")]

#[path = "../support/mod.rs"]
mod support;

use preflight_core::Decision;
use serde_json::{Value, json};

use support::cases::{Case, discovery, expect_all, group, list};
use support::{ok, status};

const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/pods";
const QUOTAS: &str = "/api/v1/resourcequotas";
const LIMITS: &str = "/api/v1/limitranges";
const NAMESPACES: &str = "/api/v1/namespaces";
const PRIORITIES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const RUNTIMES: &str = "/apis/node.k8s.io/v1/runtimeclasses";
const SCALERS: &str = "/apis/autoscaling/v2/horizontalpodautoscalers";
const BUDGETS: &str = "/apis/policy/v1/poddisruptionbudgets";
const AUTOSCALER: &str = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const QUOTAS_HERE: &str = "/api/v1/namespaces/shop/resourcequotas";
const LIMITS_HERE: &str = "/api/v1/namespaces/shop/limitranges";
const PODS_HERE: &str = "/api/v1/namespaces/shop/pods";
const SCALERS_HERE: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
const BUDGETS_HERE: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";
/// Every rule that depends on where pods go, where nothing else is wanted of them.
const OF_PODS: [&str; 2] = ["preemption", "unschedulable"];

/// All is well: one node with four cores, and a Deployment that asks for one.
fn case(name: &'static str) -> Case {
    let lists = [PODS, QUOTAS, LIMITS, PRIORITIES, RUNTIMES, SCALERS, BUDGETS].map(|path| (path, list(&[])));
    let more = [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        (
            "/api",
            discovery(&[group(
                "",
                "v1",
                &[("configmaps", "ConfigMap"), ("pods", "Pod"), ("resourcequotas", "ResourceQuota")],
            )]),
        ),
        (
            "/apis",
            discovery(&[
                group("apps", "v1", &[("deployments", "Deployment")]),
                group("metrics.k8s.io", "v1beta1", &[("nodes", "NodeMetrics")]),
            ]),
        ),
        (NODES, list(&[node()])),
        (NAMESPACES, list(&[json!({"metadata": {"name": "shop"}})])),
        (METRICS, list(&[metrics(0)])),
    ];
    let answers = lists.into_iter().chain(more).map(|(path, body)| (path.to_owned(), ok(&body))).collect();
    Case::new("resource-capacity", name, answers, vec![deployment("1")])
}

fn scaler() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
}

fn quota() -> Value {
    json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": {"pods": "9", "configmaps": "9"}},
        "status": {"hard": {"pods": "9", "configmaps": "9"}, "used": {"pods": "0", "configmaps": "0"}}})
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown() {
    let cut = || (200, String::new(), r#"{"kind": "List", "metadata": {}, "items": [{"#.to_owned());
    let mut cases = vec![
        case("all is well"),
        case("pods are forbidden")
            .answers(PODS, status(403, "pods is forbidden"))
            .unknown(&OF_PODS)
            .says("pods is forbidden"),
        case("pods are cut short").answers(PODS, cut()).unknown(&OF_PODS).says("cut short"),
        case("the second page of pods fails")
            .answers(PODS, ok(&json!({"metadata": {"continue": "more"}, "items": []})))
            .answers(&format!("{PODS} continued"), status(403, "no more for you"))
            .unknown(&OF_PODS)
            .says("no more for you"),
        case("nodes are forbidden")
            .answers(NODES, status(403, "nodes is forbidden"))
            .unknown(&["node-condition", "preemption", "unschedulable"])
            .passes(&["limit-range", "class-missing"]),
        case("nodes are forbidden, and pods are scaled, counted and limited")
            .answers(NODES, status(403, "nodes is forbidden"))
            .lists(SCALERS, &[scaler()])
            .lists(QUOTAS, &[quota()])
            .environment(&json!({"resource_thresholds": {"cpu_percent": 80}}))
            .unknown(&[
                "autoscaling-maximum",
                "node-condition",
                "preemption",
                "quota-exceeded",
                "requested-over-threshold",
                "unschedulable",
                "used-over-threshold",
            ]),
        case("nodes are forbidden, and nothing has pods")
            .answers(NODES, status(403, "nodes is forbidden"))
            .lists(QUOTAS, &[quota()])
            .releases(&[json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}})])
            .unknown(&["node-condition"])
            .passes(&["quota-exceeded"]),
        case("quotas are forbidden").answers(QUOTAS, status(403, "no")).unknown(&["quota-exceeded"]),
        case("autoscalers are forbidden").answers(SCALERS, status(403, "no")).unknown(&[
            "autoscaling-maximum",
            "preemption",
            "unschedulable",
        ]),
        case("budgets are forbidden").answers(BUDGETS, status(403, "no")).unknown(&["disruption-budget"]),
        case("namespaces are forbidden, and nobody goes by their labels")
            .answers(NAMESPACES, status(403, "no")),
    ];
    let all = [
        "autoscaling-maximum",
        "class-missing",
        "limit-range",
        "preemption",
        "quota-exceeded",
        "requested-over-threshold",
        "unschedulable",
    ];
    let names = |field: &str| {
        let mut deployment = deployment("1");
        deployment["spec"]["template"]["spec"][field] = json!("special");
        [deployment]
    };
    let forbidden = |name: &'static str, path: &str| case(name).answers(path, status(403, "no"));
    cases.extend([
        forbidden("limits are forbidden", LIMITS).unknown(&all),
        forbidden("PriorityClasses are forbidden, and a pod names one", PRIORITIES)
            .releases(&names("priorityClassName"))
            .unknown(&all),
        forbidden("PriorityClasses are forbidden, and one may be the default", PRIORITIES).unknown(&OF_PODS),
        forbidden("RuntimeClasses are forbidden, and a pod names one", RUNTIMES)
            .releases(&names("runtimeClassName"))
            .unknown(&all),
        forbidden("RuntimeClasses are forbidden, and no pod names one", RUNTIMES),
    ]);
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {"matchLabels": {"a": "b"}}}]}});
    let mut shy = deployment("1");
    shy["spec"]["template"]["spec"]["affinity"] = apart;
    cases.push(
        case("namespaces are forbidden, and affinity goes by their labels")
            .answers(NAMESPACES, status(403, "no"))
            .releases(&[shy])
            .unknown(&OF_PODS),
    );
    let hidden = json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": {"pods": "9"}}, "status": {"hard": {"pods": "9"}}});
    cases.push(
        case("a quota whose use is not counted yet")
            .lists(QUOTAS, &[hidden])
            .unknown(&["quota-exceeded"])
            .says("does not say yet"),
    );
    expect_all(cases).await;
}

/// What is counted, limited and scaled in one namespace is seen there.
#[tokio::test]
async fn one_namespace_is_all_that_is_seen() {
    let case = |name: &'static str| {
        let lists = [PODS, NODES, NAMESPACES, QUOTAS, LIMITS, SCALERS, BUDGETS, PRIORITIES, RUNTIMES];
        let case = lists.into_iter().fold(case(name), |case, list| case.answers(list, status(403, "no")));
        let here = [PODS_HERE, QUOTAS_HERE, LIMITS_HERE, SCALERS_HERE, BUDGETS_HERE];
        here.into_iter().fold(case, |case, list| case.lists(list, &[]))
    };
    let open = ["node-condition", "preemption", "unschedulable"];
    let config_map =
        || json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}});
    let full = json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": {"count/configmaps": "1"}},
        "status": {"hard": {"count/configmaps": "1"}, "used": {"count/configmaps": "1"}}});
    let limit = json!({"metadata": {"name": "l", "namespace": "shop"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m"}}]}});
    let other = [("node-condition", "unknown"), ("preemption", "unknown"), ("unschedulable", "unknown")];
    let no_go = |rule: &'static str, more: &[(&'static str, &'static str)]| {
        let outcomes = [&[(rule, "failed")], more].concat();
        move |case: Case| case.is(Decision::NoGo, &outcomes)
    };
    expect_all(vec![
        case("nothing is counted").unknown(&open).passes(&["limit-range", "class-missing"]),
        case("pods are counted").lists(QUOTAS_HERE, &[quota()]).unknown(&[
            "node-condition",
            "preemption",
            "quota-exceeded",
            "unschedulable",
        ]),
        no_go("quota-exceeded", &other[..1])(
            case("the quota is used up")
                .lists(QUOTAS_HERE, std::slice::from_ref(&full))
                .releases(&[config_map()]),
        ),
        no_go("quota-exceeded", &other)(
            case("the quota is used up, and pods come")
                .lists(QUOTAS_HERE, &[full])
                .releases(&[deployment("1"), config_map()]),
        ),
        no_go("limit-range", &other)(case("the pod is too large").lists(LIMITS_HERE, &[limit])),
        case("quotas are forbidden here, too").answers(QUOTAS_HERE, status(403, "no")).unknown(&[
            "node-condition",
            "preemption",
            "quota-exceeded",
            "unschedulable",
        ]),
    ])
    .await;
}

#[tokio::test]
async fn what_others_decide_is_unknown() {
    let with = |field: &str, value: Value| {
        let mut deployment = deployment("1");
        deployment["spec"]["template"]["spec"][field] = value;
        deployment
    };
    let karpenter = {
        let mut node = node();
        node["metadata"]["labels"]["karpenter.sh/nodepool"] = json!("general");
        node
    };
    let elastic = |max: usize| json!({"capacity": {"elastic": {"general": {"labels": {"pool": "a"}, "max_nodes": max}}}});
    expect_all(vec![
        case("another scheduler")
            .releases(&[with("schedulerName", json!("volcano"))])
            .unknown(&OF_PODS)
            .says("volcano"),
        case("a gate")
            .releases(&[with("schedulingGates", json!([{"name": "example.com/wait"}]))])
            .unknown(&OF_PODS)
            .says("example.com/wait"),
        case("devices")
            .releases(&[with("resourceClaims", json!([{"name": "gpu"}]))])
            .unknown(&OF_PODS)
            .says("claim devices"),
        case("too large, and nobody adds nodes")
            .releases(&[deployment("5")])
            .fails("unschedulable")
            .says("0/1 nodes are available: 1 Insufficient cpu. cpu: short of 1 on the best node, a"),
        case("too large until a pod is gone")
            .lists(PODS, &[pod("old", "3", true)])
            .releases(&[deployment("2")])
            .warns("unschedulable")
            .says("once 1 pods are gone that were told to end, shop/old"),
        case("too large, since a pod stays")
            .lists(PODS, &[pod("old", "3", false)])
            .releases(&[deployment("2")])
            .fails("unschedulable"),
        case("too large, and a cluster autoscaler runs")
            .releases(&[deployment("5")])
            .answers(AUTOSCALER, ok(&json!({"metadata": {"name": "cluster-autoscaler-status"}})))
            .unknown(&["unschedulable"])
            .says("capacity.elastic"),
        case("too many, and nodes are added somehow")
            .lists(NODES, &[karpenter])
            .releases(&[deployment("3"), named("other", "3")])
            .unknown(&["unschedulable"])
            .says("karpenter.sh/nodepool"),
        case("too many, and nodes may be added")
            .environment(&elastic(2))
            .releases(&[deployment("3"), named("other", "3")])
            .warns("unschedulable")
            .says("general (1 nodes, up to 1 more)"),
        case("too many, even if nodes are added")
            .environment(&elastic(1))
            .releases(&[deployment("3"), named("other", "3")])
            .unknown(&["unschedulable"]),
        case("too large for any of the nodes that may be added")
            .environment(&elastic(9))
            .releases(&[deployment("5")])
            .unknown(&["unschedulable"]),
    ])
    .await;
}

/// Numbers that nobody means come to an end as well.
#[tokio::test]
async fn large_numbers_come_to_an_end() {
    let many = |replicas: Value| {
        let mut deployment = deployment("10m");
        deployment["spec"]["replicas"] = replicas;
        deployment
    };
    let daemon = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "namespace": "shop"},
        "spec": many(json!(1))["spec"],
    });
    let nodes: Vec<Value> = (0..2000)
        .map(|at| {
            let mut node = node();
            node["metadata"]["name"] = json!(format!("n{at}"));
            node
        })
        .collect();
    expect_all(vec![
        case("as many pods as a number has room for")
            .releases(&[many(json!(300_000))])
            .fails("unschedulable"),
        case("a number that is none").releases(&[many(json!(-1))]),
        case("a DaemonSet on many nodes")
            .answers("/apis", ok(&discovery(&[group("apps", "v1", &[("daemonsets", "DaemonSet")])])))
            .lists(NODES, &nodes)
            .releases(&[daemon]),
        case("no nodes").lists(NODES, &[]).fails("unschedulable").says("no nodes available to schedule pods"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_in_use_is_known_or_said_not_to_be() {
    let limit = |percent: u8| json!({"resource_thresholds": {"cpu_percent": percent}});
    let required = json!({"resource_thresholds": {"cpu_percent": 90, "metrics": "required"}});
    let unserved = ok(&discovery(&[group("apps", "v1", &[("deployments", "Deployment")])]));
    expect_all(vec![
        case("enough is free").environment(&limit(60)),
        case("more is in use than may be")
            .environment(&limit(40))
            .fails("used-over-threshold")
            .says("50 % of the cluster's cpu is in use, and 40 % may be"),
        case("more is requested than may be")
            .environment(&limit(60))
            .releases(&[deployment("3")])
            .fails("requested-over-threshold")
            .says("75 % of the cluster's cpu is requested (3 of 4)"),
        case("metrics are not served")
            .environment(&limit(90))
            .answers("/apis", unserved.clone())
            .is(Decision::Go, &[("used-over-threshold", "skipped")]),
        case("metrics are not served, and required")
            .environment(&required)
            .answers("/apis", unserved)
            .unknown(&["used-over-threshold"]),
        case("metrics are dead")
            .environment(&limit(90))
            .answers(METRICS, status(403, "the server is gone"))
            .unknown(&["used-over-threshold"]),
        case("metrics are stale")
            .environment(&limit(90))
            .lists(METRICS, &[metrics(3600)])
            .unknown(&["used-over-threshold"])
            .says("stale"),
        case("metrics are not of every node")
            .environment(&limit(90))
            .lists(METRICS, &[])
            .unknown(&["used-over-threshold"]),
    ])
    .await;
}

fn node() -> Value {
    json!({
        "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a", "pool": "a"}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, cpu: &str, is_leaving: bool) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "shop"}, "status": {"phase": "Running"},
        "spec": {"nodeName": "a", "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
    });
    if is_leaving {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    pod
}

fn metrics(age: i64) -> Value {
    let at = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - age).unwrap();
    json!({"metadata": {"name": "a"}, "timestamp": at.to_string(), "usage": {"cpu": "2", "memory": "1Gi"}})
}

fn deployment(cpu: &str) -> Value {
    named("web", cpu)
}

fn named(name: &str, cpu: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}}},
    })
}
