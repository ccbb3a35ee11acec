//! Claims that pods use and that are there, or not.

use preflight_core::Decision;
use serde_json::{Value, json};

use crate::world::{
    CLAIM, CLAIMS, CLASSES, CSI_NODES, Case, SET, VOLUMES, case, claim, claim_of_set, class, expect_all,
    live_claim, stateful_set, volume, workload,
};

/// A Deployment that uses the claim, which is not in the release.
fn using(name: &str) -> Case {
    case(name).releases(&[workload("Deployment", &json!({}))])
}

fn with(name: &str, live: &Value) -> Case {
    using(name).lists(CLAIMS, std::slice::from_ref(live))
}

#[tokio::test]
async fn claims_that_are_missing() {
    let rule = "claim-missing";
    let expects =
        json!({"expects": [{"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data"}]});
    let mut sleeping = workload("Deployment", &json!({}));
    sleeping["spec"]["replicas"] = 0.into();
    let job = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reads", "namespace": "shop"},
        "spec": {"containers": [{"name": "a", "image": "a:1"}],
            "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data-db-1"}}]},
    });
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    let mut pruned = live_claim("Bound", &json!({}));
    pruned["metadata"]["labels"] = json!({"app": "web"});
    pruned["metadata"]["annotations"] = json!({applied: "{}"});
    let mut labelled = workload("Deployment", &json!({}));
    labelled["metadata"]["labels"] = json!({"app": "web"});
    expect_all(vec![
        with("one that is there", &live_claim("Bound", &json!({}))).passes(&[rule, "claim-stuck"]),
        using("one that is not").fails(rule),
        case("one of the release")
            .releases(&[workload("Deployment", &json!({})), claim(&json!({}))])
            .passes(&[rule]),
        using("one that the environment expects").environment(&expects).warns(rule),
        case("none, and no pod either").releases(&[sleeping]).warns(rule),
        case("one that a StatefulSet of the release makes")
            .releases(&[stateful_set(2, &json!({})), job.clone()])
            .passes(&[rule]),
        case("one that it does not make").releases(&[stateful_set(1, &json!({})), job]).fails(rule),
        case("one that the release deletes")
            .releases(&[labelled])
            .environment(&json!({"apply": {"method": "client", "prune": "app=web"}}))
            .lists(CLAIMS, &[pruned])
            .lists("/api/v1/namespaces/shop/configmaps", &[])
            .lists("/api/v1/namespaces/shop/pods", &[])
            .lists("/apis/apps/v1/namespaces/shop/deployments", &[])
            .lists("/apis/apps/v1/namespaces/shop/daemonsets", &[])
            .lists("/apis/apps/v1/namespaces/shop/statefulsets", &[])
            .is(Decision::NoGo, &[(rule, "failed")]),
    ])
    .await;
}

#[tokio::test]
async fn claims_that_are_stuck() {
    let rule = "claim-stuck";
    let pending = |fields: &Value| live_claim("Pending", fields);
    let mut going = live_claim("Bound", &json!({}));
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let waiting = class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"}));
    let manual = |mode: &str| {
        class("manual", &json!({"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": mode}))
    };
    let gone = pending(&json!({"storageClassName": "gone"}));
    let by_hand = pending(&json!({"storageClassName": "manual"}));
    let mut sleeping = workload("Deployment", &json!({}));
    sleeping["spec"]["replicas"] = 0.into();
    expect_all(vec![
        with("one that has lost its volume", &live_claim("Lost", &json!({}))).fails(rule),
        with("one that is being deleted", &going).fails(rule),
        with("one that waits for its first pod", &pending(&json!({})))
            .lists(CLASSES, std::slice::from_ref(&waiting))
            .passes(&[rule]),
        with("one that waits for its first pod, and its driver is on no node", &pending(&json!({})))
            .lists(CLASSES, &[waiting])
            .lists(CSI_NODES, &[])
            .fails("driver-missing"),
        with("one whose volume is not made yet", &pending(&json!({}))).warns(rule),
        with("one whose class is gone", &gone).fails(rule).says("does not exist"),
        with("one whose class is gone, and a volume fits", &gone)
            .lists(VOLUMES, &[volume("v", &json!({"storageClassName": "gone"}))])
            .passes(&[rule]),
        with("one that nobody makes a volume for", &by_hand)
            .lists(CLASSES, &[manual("Immediate")])
            .fails(rule),
        with("one that nobody makes a volume for, and it waits", &by_hand)
            .lists(CLASSES, &[manual("WaitForFirstConsumer")])
            .fails(rule),
        with("one without a class, and a default has come", &pending(&json!({"storageClassName": null})))
            .lists(CLASSES, &[crate::world::default_class("mine", "2026-01-01T00:00:00Z")])
            .warns(rule),
        with("one without a class, and no default", &pending(&json!({"storageClassName": null}))).fails(rule),
        with("one that is stuck, and no pod is started", &live_claim("Lost", &json!({})))
            .releases(&[sleeping])
            .warns(rule),
        case("one of the release that no pod uses").holds(CLAIM, &live_claim("Lost", &json!({}))).fails(rule),
    ])
    .await;
}

#[tokio::test]
async fn claims_of_stateful_sets_that_are_there() {
    let mut live = stateful_set(1, &json!({}));
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": stateful_set(1, &json!({})).to_string()});
    let more = stateful_set(2, &json!({}));
    expect_all(vec![
        case("one more pod")
            .releases(std::slice::from_ref(&more))
            .holds(SET, &live)
            .lists(CLAIMS, &[claim_of_set(0, "Bound")])
            .passes(&["claim-stuck", "class-missing", "stateful-set-immutable"]),
        case("one more pod, whose claim is there and lost")
            .releases(std::slice::from_ref(&more))
            .holds(SET, &live)
            .lists(CLAIMS, &[claim_of_set(0, "Bound"), claim_of_set(1, "Lost")])
            .fails("claim-stuck"),
        case("one more pod, and the claim of one that stays is lost")
            .releases(&[more])
            .holds(SET, &live)
            .lists(CLAIMS, &[claim_of_set(0, "Lost")])
            .warns("claim-stuck"),
    ])
    .await;
}
