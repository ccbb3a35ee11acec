//! The classes of new claims.

use preflight_core::Decision;
use serde_json::json;

use crate::world::{
    CAPACITIES, CLAIMS, CLASSES, CSI_NODES, DRIVERS, NODES, PODS, VOLUMES, case, claim, class, default_class,
    expect_all, stateful_set, template, volume, workload,
};

const ALL: [&str; 4] = ["class-missing", "driver-missing", "driver-unhealthy", "no-volume"];

#[tokio::test]
async fn classes_that_are_named() {
    let of = |name: &str| claim(&json!({"storageClassName": name}));
    let annotated = {
        let mut claim = claim(&json!({"storageClassName": null}));
        claim["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "gone"});
        claim
    };
    let ephemeral = |class: &str| json!({"volumes": [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": claim(&json!({"storageClassName": class}))}}]});
    let expects = json!({"expects": [{"kind": "StorageClass", "name": "soon", "by": "the platform"}]});
    expect_all(vec![
        case("a class that is there").passes(&ALL),
        case("a class that is not").releases(&[of("gone")]).fails("class-missing").says("there are fast"),
        case("a class that is not, by an annotation").releases(&[annotated]).fails("class-missing"),
        case("a class of the release")
            .releases(&[class("new", &json!({})), of("new")])
            .passes(&["class-missing", "no-volume"]),
        case("a class that comes after its claim")
            .releases(&[of("new"), class("new", &json!({}))])
            .passes(&["class-missing"]),
        case("a class that the environment expects")
            .releases(&[of("soon")])
            .environment(&expects)
            .warns("class-missing"),
        case("a class that is none, and a volume of it")
            .releases(&[of("manual")])
            .lists(VOLUMES, &[volume("v", &json!({}))])
            .passes(&["class-missing"]),
        case("a class that is none, and a volume of it that is too small")
            .releases(&[of("manual")])
            .lists(VOLUMES, &[volume("v", &json!({"capacity": {"storage": "1Gi"}}))])
            .fails("class-missing"),
        case("a StatefulSet's template of a class that is not there")
            .releases(&[stateful_set(
                3,
                &json!({"volumeClaimTemplates": [template(&json!({"storageClassName": "gone"}))]}),
            )])
            .fails("class-missing")
            .says("shop/data-db-0 (and 2 more of its template)"),
        case("a StatefulSet without pods")
            .releases(&[stateful_set(
                0,
                &json!({"volumeClaimTemplates": [template(&json!({"storageClassName": "gone"}))]}),
            )])
            .unknown(&[]),
        case("a volume that is made with each pod")
            .releases(&[workload("Deployment", &ephemeral("fast"))])
            .passes(&ALL),
        case("a volume that is made with each pod, of a class that is not there")
            .releases(&[workload("Deployment", &ephemeral("gone"))])
            .fails("class-missing")
            .says("shop/web-*-tmp"),
        case("no claim, and nothing is asked for")
            .releases(&[workload("Deployment", &json!({"volumes": null}))])
            .unknown(&[])
            .asks_not(&[CLASSES, VOLUMES, CLAIMS, DRIVERS, CSI_NODES, CAPACITIES, NODES, PODS]),
    ])
    .await;
}

#[tokio::test]
async fn classes_that_are_left_to_the_cluster() {
    let unnamed = || [claim(&json!({"storageClassName": null}))];
    let old = default_class("old", "2024-01-01T00:00:00Z");
    let expects = json!({"expects": [{"kind": "StorageClass", "name": "soon"}]});
    expect_all(vec![
        case("one default").releases(&unnamed()).lists(CLASSES, std::slice::from_ref(&old)).passes(&[
            "default-class",
            "driver-missing",
            "no-volume",
        ]),
        case("several defaults")
            .releases(&unnamed())
            .lists(CLASSES, &[old, default_class("new", "2025-01-01T00:00:00Z")])
            .warns("default-class")
            .says("it gets new"),
        case("no default").releases(&unnamed()).fails("default-class"),
        case("no default, and a volume without a class")
            .releases(&unnamed())
            .lists(VOLUMES, &[volume("v", &json!({"storageClassName": null}))])
            .passes(&["default-class"]),
        case("no default, and a class is expected")
            .releases(&unnamed())
            .environment(&expects)
            .warns("default-class"),
        case("a default that comes with the release")
            .releases(&[default_class("mine", "2026-01-01T00:00:00Z"), unnamed()[0].clone()])
            .passes(&["default-class"]),
        case("no default, and no pod yet")
            .releases(&[stateful_set(
                0,
                &json!({"volumeClaimTemplates": [template(&json!({"storageClassName": null}))]}),
            )])
            .unknown(&[]),
        case("a default that nobody makes volumes of")
            .releases(&unnamed())
            .lists(
                CLASSES,
                &[{
                    let mut class = default_class("old", "2024-01-01T00:00:00Z");
                    class["provisioner"] = "kubernetes.io/no-provisioner".into();
                    class
                }],
            )
            .is(Decision::NoGo, &[("no-volume", "failed")]),
    ])
    .await;
}
