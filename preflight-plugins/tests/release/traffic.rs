use serde_json::json;

use super::support::cases::expect_all;
use super::support::status;
use super::{PODS, PODS_HERE, POLICIES, RANGES, SERVICES, SERVICES_HERE, case, deployment, service};

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
        here().releases(&[deployment(json!({})), port]).unknown(&["cluster-ip-taken", "node-port-taken"]),
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
