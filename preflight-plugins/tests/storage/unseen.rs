//! Each thing that is looked at, when it cannot be: exactly the rules that need it are unknown, and the others are
//! decided all the same.

use serde_json::{Value, json};

use crate::support::{Answer, HANGS_UP, status};
use crate::world::{
    CAPACITIES, CLAIM, CLAIMS, CLASSES, CSI_NODES, Case, DRIVER, DRIVERS, NODES, PODS, SET, SNAPSHOT,
    VOLUMES, case, claim, class, default_class, expect_all, list, live_claim, stateful_set, volume, workload,
};

const OF_VOLUMES: [&str; 5] =
    ["driver-missing", "driver-unhealthy", "access-mode", "capacity-short", "no-volume"];

/// Of each kind something that is well, and a release that needs all of it. What is decided of ways of access is left
/// out: it needs nothing but the class.
fn everything(name: String) -> Case {
    let named = |name: &str, fields: &Value| {
        let mut claim = claim(fields);
        claim["metadata"]["name"] = name.into();
        claim
    };
    let room = json!({
        "metadata": {"name": "room", "namespace": "storage"}, "storageClassName": "fast",
        "nodeTopology": {}, "capacity": "100Gi",
    });
    let snapshot =
        json!({"kind": "VolumeSnapshot", "metadata": {"name": "before"}, "status": {"readyToUse": true}});
    let source = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"});
    let affinity = json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}});
    let uses = |name: &str, claim: &str| {
        let mut workload = workload(
            "Deployment",
            &json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]}),
        );
        workload["metadata"]["name"] = name.into();
        workload
    };
    case(name)
        .releases(&[
            claim(&json!({"resources": {"requests": {"storage": "20Gi"}}})),
            named("made", &json!({"dataSource": source})),
            named("unnamed", &json!({"storageClassName": null})),
            named("manual", &json!({"storageClassName": "manual"})),
            stateful_set(1, &json!({})),
            uses("made", "made"),
            uses("manual", "manual"),
            uses("old", "old"),
        ])
        .lists(
            CLASSES,
            &[
                class(
                    "fast",
                    &json!({"volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true}),
                ),
                class("manual", &json!({"provisioner": "kubernetes.io/no-provisioner"})),
                default_class("mine", "2026-01-01T00:00:00Z"),
            ],
        )
        .lists(DRIVERS, &[json!({"metadata": {"name": DRIVER}, "spec": {"storageCapacity": true}})])
        .lists(CAPACITIES, &[room])
        .lists(VOLUMES, &[volume("v", &affinity)])
        .lists(
            CLAIMS,
            &[{
                let mut old = live_claim("Bound", &json!({}));
                old["metadata"]["name"] = "old".into();
                old
            }],
        )
        .holds(CLAIM, &live_claim("Bound", &json!({})))
        .holds(SET, &stateful_set(1, &json!({"serviceName": "db"})))
        .holds(SNAPSHOT, &snapshot)
}

const EVERY_RULE: [&str; 12] = [
    "class-missing",
    "default-class",
    "driver-missing",
    "driver-unhealthy",
    "capacity-short",
    "no-volume",
    "claim-missing",
    "claim-stuck",
    "claim-resize",
    "claim-immutable",
    "stateful-set-immutable",
    "data-source-missing",
];

/// What is looked at, and the rules that need it.
fn lists() -> Vec<(&'static str, Vec<&'static str>)> {
    let of_claims = |rules: &[&'static str]| rules.iter().copied().chain(OF_VOLUMES).collect::<Vec<_>>();
    vec![
        (CLASSES, of_claims(&["class-missing", "default-class", "claim-resize"])),
        (VOLUMES, vec!["driver-missing", "driver-unhealthy", "no-volume"]),
        (
            CLAIMS,
            of_claims(&[
                "class-missing",
                "default-class",
                "data-source-missing",
                "claim-missing",
                "claim-stuck",
            ]),
        ),
        (DRIVERS, vec!["capacity-short"]),
        (CSI_NODES, vec!["driver-missing"]),
        (CAPACITIES, vec!["capacity-short"]),
        (NODES, vec!["driver-missing", "capacity-short", "no-volume"]),
        (PODS, vec!["driver-unhealthy"]),
    ]
}

fn objects() -> Vec<(&'static str, Vec<&'static str>)> {
    let new = [
        "class-missing",
        "default-class",
        "data-source-missing",
        "claim-resize",
        "claim-immutable",
        "claim-stuck",
    ];
    vec![
        (CLAIM, new.into_iter().chain(OF_VOLUMES).collect()),
        (SET, vec!["stateful-set-immutable"]),
        (SNAPSHOT, vec!["data-source-missing"]),
    ]
}

fn unseen(what: &str, path: &str, answer: Answer, rules: &[&'static str]) -> Case {
    everything(format!("{what}: {path}")).answers(path, answer).unknown_alone(rules, &EVERY_RULE)
}

#[tokio::test]
async fn all_is_well() {
    expect_all(vec![everything("everything".to_owned()).passes(&EVERY_RULE)]).await;
}

#[tokio::test]
async fn what_is_refused_or_garbage() {
    let mut cases = Vec::new();
    for (path, rules) in lists().into_iter().chain(objects()) {
        cases.push(unseen("refused", path, status(403, "forbidden"), &rules));
        cases.push(unseen("no JSON", path, (200, String::new(), "{]".to_owned()), &rules));
        cases.push(unseen("no answer", path, (HANGS_UP, String::new(), String::new()), &rules));
        cases.push(unseen("an error", path, status(500, "etcd is not well"), &rules));
    }
    expect_all(cases).await;
}

#[tokio::test]
async fn what_is_half_read() {
    let half = json!({"kind": "List", "metadata": {"continue": "more"}, "items": []});
    let mut cases = Vec::new();
    for (path, rules) in lists() {
        for (what, page) in
            [("the rest is refused", status(403, "forbidden")), ("the rest has gone", status(410, "expired"))]
        {
            let half = (200, String::new(), half.to_string());
            cases.push(unseen(what, path, half, &rules).answers(&format!("{path} continued"), page));
        }
    }
    expect_all(cases).await;
}

/// An answer that is JSON, and no list of what was asked for. Pods are read leniently, as all there are.
#[tokio::test]
async fn what_is_something_else() {
    let odd =
        list(&[json!({"metadata": {"name": "a"}, "spec": 1, "provisioner": 1, "capacity": [], "status": 1})]);
    let mut cases = Vec::new();
    for (path, rules) in lists() {
        let status = json!({"kind": "Status", "status": "Success"});
        cases.push(unseen("no items", path, (200, String::new(), status.to_string()), &rules));
        if path != PODS {
            cases.push(unseen("an item that is none", path, (200, String::new(), odd.to_string()), &rules));
        }
    }
    expect_all(cases).await;
}

#[tokio::test]
async fn manifests_that_cannot_be_read() {
    let odd = claim(&json!({"resources": {"requests": {"storage": "much"}}}));
    let rules: Vec<_> = [
        "class-missing",
        "default-class",
        "data-source-missing",
        "claim-resize",
        "claim-immutable",
        "claim-stuck",
    ]
    .into_iter()
    .chain(OF_VOLUMES)
    .collect();
    expect_all(vec![case("a size that is none").releases(&[odd]).unknown(&rules)]).await;
}
