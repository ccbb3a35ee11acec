//! Changes of what is there.

use serde_json::{Value, json};

use crate::support::ok;
use crate::world::{
    CLAIM, CLASSES, Case, SET, case, claim, class, expect_all, live_claim, stateful_set, template,
};

fn grown(size: &str) -> Value {
    claim(&json!({"resources": {"requests": {"storage": size}}}))
}

/// A claim of 10Gi that is there in this phase, and one of that size instead.
fn resized(name: &str, phase: &str, size: &str) -> Case {
    case(name).holds(CLAIM, &live_claim(phase, &json!({}))).releases(&[grown(size)])
}

#[tokio::test]
async fn sizes_of_claims() {
    let rule = "claim-resize";
    let growing = class("fast", &json!({"allowVolumeExpansion": true}));
    let mut shrinking = live_claim("Bound", &json!({}));
    shrinking["spec"]["resources"]["requests"]["storage"] = "100Gi".into();
    let version = |version: &str| ok(&json!({"gitVersion": version}));
    expect_all(vec![
        resized("the same in other words", "Bound", "10240Mi").passes(&[rule, "claim-immutable"]),
        resized("smaller", "Bound", "5Gi").fails(rule).says("asks for 5Gi, and has 10Gi now"),
        resized("larger", "Bound", "20Gi").fails(rule).says("its StorageClass fast does not allow that"),
        resized("larger, and the class allows it", "Bound", "20Gi")
            .lists(CLASSES, std::slice::from_ref(&growing))
            .passes(&[rule]),
        resized("larger, and the class is gone", "Bound", "20Gi").lists(CLASSES, &[]).fails(rule),
        resized("larger, and not bound", "Pending", "20Gi")
            .lists(CLASSES, std::slice::from_ref(&growing))
            .is(preflight_core::Decision::NoGo, &[(rule, "failed"), ("claim-stuck", "warning")]),
        resized("larger, and the release allows it", "Bound", "20Gi")
            .releases(&[growing, grown("20Gi")])
            .passes(&[rule]),
        case("back from a size that was never reached")
            .holds(CLAIM, &shrinking)
            .releases(&[grown("20Gi")])
            .passes(&[rule]),
        case("back from a size that was never reached, below what is there")
            .holds(CLAIM, &shrinking)
            .releases(&[grown("10Gi")])
            .fails(rule),
        case("back from a size that was never reached, on an old server")
            .holds(CLAIM, &shrinking)
            .releases(&[grown("20Gi")])
            .answers("/version", version("v1.31.0"))
            .fails(rule),
        resized("larger, with kubectl create", "Bound", "20Gi").environment(&json!({"apply": "create"})),
    ])
    .await;
}

#[tokio::test]
async fn what_is_fixed_in_claims() {
    let rule = "claim-immutable";
    let changed = |name: &str, live: &Value, wanted: &Value| {
        case(name).holds(CLAIM, &live_claim("Bound", live)).releases(&[claim(wanted)])
    };
    let applied = |wanted: &Value| {
        let mut live = live_claim("Bound", wanted);
        live["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": claim(wanted).to_string()});
        live
    };
    let source = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}});
    let both = json!({
        "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
        "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "a"},
    });
    let none = json!({"storageClassName": null});
    expect_all(vec![
        changed("nothing", &json!({}), &json!({})).passes(&[rule]),
        changed("the class", &json!({"storageClassName": "slow"}), &json!({}))
            .fails(rule)
            .says("is \"slow\" and would be \"fast\""),
        changed("the class, where there was none", &none, &json!({})).passes(&[rule]),
        changed("the class, which is not written", &json!({}), &none).passes(&[rule]),
        case("the class, which is written no longer")
            .holds(CLAIM, &applied(&json!({})))
            .releases(&[claim(&none)])
            .fails(rule),
        case("the class, which is written no longer, server-side")
            .holds(CLAIM, &applied(&json!({})))
            .releases(&[claim(&none)])
            .environment(&json!({"apply": "server"}))
            .passes(&[rule]),
        changed("the access modes", &json!({}), &json!({"accessModes": ["ReadWriteMany"]})).fails(rule),
        changed("the volume mode", &json!({}), &json!({"volumeMode": "Block"})).fails(rule),
        changed("the volume mode, in words", &json!({}), &json!({"volumeMode": "Filesystem"}))
            .passes(&[rule]),
        changed("the selector", &json!({}), &json!({"selector": {"matchLabels": {"a": "b"}}})).fails(rule),
        changed("the volume", &json!({}), &json!({"volumeName": "other"})).fails(rule),
        changed("the source, which the server wrote twice", &both, &source).passes(&[rule]),
        changed("the source", &json!({}), &source).fails(rule),
        changed("the class of attributes", &json!({}), &json!({"volumeAttributesClassName": "gold"}))
            .passes(&[rule]),
    ])
    .await;
}

#[tokio::test]
async fn what_is_fixed_in_stateful_sets() {
    let rule = "stateful-set-immutable";
    // As the server fills it in.
    let live = || {
        let mut template = template(&json!({"volumeMode": "Filesystem"}));
        template["apiVersion"] = "v1".into();
        template["kind"] = "PersistentVolumeClaim".into();
        template["metadata"]["creationTimestamp"] = Value::Null;
        template["status"] = json!({"phase": "Pending"});
        let mut live = stateful_set(
            0,
            &json!({
                "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "updateStrategy": {"type": "RollingUpdate"},
                "volumeClaimTemplates": [template],
            }),
        );
        live["metadata"]["uid"] = "1".into();
        live
    };
    let changed =
        |name: &str, fields: &Value| case(name).holds(SET, &live()).releases(&[stateful_set(0, fields)]);
    let templates = |fields: &Value| json!({"volumeClaimTemplates": [template(fields)]});
    let mut parallel = live();
    parallel["spec"]["podManagementPolicy"] = "Parallel".into();
    expect_all(vec![
        changed("nothing", &json!({})).passes(&[rule]),
        changed("the defaults, in words", &json!({"podManagementPolicy": "OrderedReady"})).passes(&[rule]),
        changed("what may change", &json!({"minReadySeconds": 5, "updateStrategy": {"type": "OnDelete"}}))
            .passes(&[rule]),
        changed(
            "the size of new claims, in other words",
            &templates(&json!({"resources": {"requests": {"storage": "10240Mi"}}})),
        )
        .passes(&[rule]),
        changed(
            "the size of new claims",
            &templates(&json!({"resources": {"requests": {"storage": "20Gi"}}})),
        )
        .fails(rule),
        changed("their class", &templates(&json!({"storageClassName": "slow"}))).fails(rule),
        changed(
            "one more template",
            &json!({"volumeClaimTemplates": [template(&json!({})), template(&json!({}))]}),
        )
        .fails(rule),
        changed("the Service", &json!({"serviceName": "other"}))
            .fails(rule)
            .says("serviceName is \"db\" and would be \"other\""),
        changed("the selector", &json!({"selector": {"matchLabels": {"app": "other"}}})).fails(rule),
        changed("the order", &json!({"podManagementPolicy": "Parallel"})).fails(rule),
        case("the order, which is not written")
            .holds(SET, &parallel)
            .releases(&[stateful_set(0, &json!({}))])
            .passes(&[rule]),
        case("anything, where it is not there")
            .releases(&[stateful_set(0, &json!({"serviceName": "other"}))])
            .unknown(&[]),
    ])
    .await;
}
