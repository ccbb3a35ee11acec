use serde_json::{Value, json};

use super::support::cases::expect_all;
use super::support::status;
use super::{
    INGRESSES, INGRESSES_HERE, PODS, PODS_HERE, POLICIES, RANGES, SERVICES, SERVICES_HERE, WEB_SERVICE, case,
    deployment, service,
};

const OF_SERVICES: [&str; 4] = ["moves-too-early", "no-pods", "pods-of-job", "target-port"];

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown() {
    let here = || case("traffic", "services are forbidden but here").answers(SERVICES, status(403, "no"));
    let port = service("web", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
    expect_all(vec![
        case("traffic", "all is well").passes(&["no-pods", "addresses-short", "network-policy"]),
        case("traffic", "services are forbidden")
            .answers(SERVICES, status(403, "no"))
            .answers(SERVICES_HERE, status(403, "not here either"))
            .unknown(&[
                "addresses-short",
                "backend-missing",
                "cluster-ip-taken",
                "moves-too-early",
                "network-policy",
                "no-pods",
                "node-port-taken",
                "pods-of-job",
                "target-port",
            ])
            .says("not here either"),
        here().passes(&["no-pods"]),
        here().releases(&[deployment(json!({})), port]).unknown(&["node-port-taken"]),
        case("traffic", "pods are forbidden")
            .answers(PODS, status(403, "no"))
            .answers(PODS_HERE, status(403, "no"))
            .unknown(&OF_SERVICES),
        case("traffic", "policies are forbidden")
            .answers(POLICIES, status(403, "no"))
            .unknown(&["network-policy"]),
        case("traffic", "ranges are forbidden")
            .answers(RANGES, status(403, "no"))
            .unknown(&["addresses-short"]),
        case("traffic", "an older server has no ranges").lacks(RANGES),
    ])
    .await;
}

#[tokio::test]
async fn addresses_are_counted() {
    let live = |name: &str, address: &str| service(name, json!({"clusterIP": address}));
    let five: Vec<_> = (1..=5).map(|at| live(&format!("s{at}"), &format!("10.0.0.{at}"))).collect();
    let asks = |address: &str| [deployment(json!({})), service("web", json!({"clusterIP": address}))];
    let two = [deployment(json!({})), service("web", json!({})), service("more", json!({}))];
    let headless = service("more", json!({"clusterIP": "None"}));
    expect_all(vec![
        case("traffic", "another has the address")
            .lists(SERVICES, &[live("other", "10.0.0.3")])
            .releases(&asks("10.0.0.3"))
            .fails("cluster-ip-taken")
            .says("the Service shop/other has"),
        case("traffic", "nobody has the address")
            .lists(SERVICES, &[live("other", "10.0.0.3")])
            .releases(&asks("10.0.0.4"))
            .passes(&["cluster-ip-taken"]),
        case("traffic", "one address is left, and two are wanted")
            .lists(SERVICES, &five)
            .releases(&two)
            .fails("addresses-short")
            .says("1 addresses are free (5 of 6 are used)"),
        case("traffic", "one address is left, and one is wanted")
            .lists(SERVICES, &five)
            .releases(&[two[0].clone(), two[1].clone(), headless])
            .passes(&["addresses-short"]),
    ])
    .await;
}

/// What is kept need not be asked for elsewhere, and what is elsewhere is not said to be missing.
#[tokio::test]
async fn one_namespace_is_all_that_is_seen() {
    let case = |name: &'static str, release: &[Value]| {
        case("traffic", name)
            .answers(SERVICES, status(403, "no"))
            .answers(RANGES, status(403, "no"))
            .answers(INGRESSES, status(403, "no"))
            .lists(INGRESSES_HERE, &[])
            .releases(&[&[deployment(json!({}))], release].concat())
    };
    let asks = json!({"type": "NodePort", "clusterIP": "10.0.0.3", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "nodePort": 30080}]});
    let live = service("web", asks.clone());
    let mut changed = live.clone();
    changed["spec"]["sessionAffinity"] = json!("ClientIP");
    let mut moved = live.clone();
    moved["spec"]["ports"][0]["nodePort"] = json!(30081);
    let mut both = live.clone();
    both["spec"]["ipFamilyPolicy"] = json!("RequireDualStack");
    let there = |name: &'static str, release: Value| {
        case(name, &[release]).lists(SERVICES_HERE, std::slice::from_ref(&live)).holds(WEB_SERVICE, &live)
    };
    let route = |namespace: &str| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"rules": [{"backendRefs": [{"name": "web", "namespace": namespace, "port": 80}]}]}})
    };
    let ingress = |host: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "backend": {"service":
                {"name": "web", "port": {"name": "http", "number": 0}}}}]}}]}})
    };
    let mut named = service("web", json!({"clusterIP": "None"}));
    named["spec"]["ports"][0]["name"] = json!("http");
    expect_all(vec![
        there("a Service keeps its port, address and family", changed)
            .passes(&["node-port-taken", "cluster-ip-taken"]),
        there("a Service keeps its address and wants another port", moved).unknown(&["node-port-taken"]),
        there("a Service wants another family", both).unknown(&["ip-family"]),
        case("a route leads elsewhere", &[route("other")]).unknown(&["backend-missing"]),
        case("a route leads nowhere", &[route("shop")]).warns("backend-missing"),
        case(
            "an Ingress wants a host, and names a port with the number 0",
            &[named, ingress("shop.example.com")],
        )
        .unknown(&["host-taken"])
        .passes(&["backend-missing"]),
    ])
    .await;
}

#[tokio::test]
async fn labels_that_controllers_add_count() {
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": {
            "metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let of = |name: &'static str, pod: &str| {
        let selector = json!({"selector": {"statefulset.kubernetes.io/pod-name": pod}});
        case("traffic", name).releases(&[set.clone(), service("db", selector)])
    };
    expect_all(vec![
        of("a Service of one pod of a StatefulSet", "db-1").passes(&["no-pods"]),
        of("a Service of a pod that the StatefulSet does not have", "db-2").warns("no-pods"),
    ])
    .await;
}
