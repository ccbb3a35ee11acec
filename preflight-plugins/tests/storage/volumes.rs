//! Volumes made by hand, room for those that are made, and ways of access.

use serde_json::{Value, json};

use crate::world::{
    CAPACITIES, CLASSES, CSI_NODES, Case, DRIVER, DRIVERS, VOLUMES, case, claim, class, csi_node, expect_all,
    stateful_set, template, volume, workload,
};

/// A claim of a class that nobody makes volumes of.
fn by_hand(name: &str) -> Case {
    let manual = class("manual", &json!({"provisioner": "kubernetes.io/no-provisioner"}));
    case(name).lists(CLASSES, &[manual]).releases(&[claim(&json!({"storageClassName": "manual"}))])
}

#[tokio::test]
async fn volumes_made_by_hand() {
    let sized = |name: &str, size: &str| volume(name, &json!({"capacity": {"storage": size}}));
    let none = || [claim(&json!({"storageClassName": ""}))];
    let set = |replicas| {
        let template = template(&json!({"storageClassName": "manual"}));
        [stateful_set(replicas, &json!({"volumeClaimTemplates": [template]}))]
    };
    let named = |name: &str, size: &str| {
        let mut claim =
            claim(&json!({"storageClassName": "manual", "resources": {"requests": {"storage": size}}}));
        claim["metadata"]["name"] = name.into();
        claim
    };
    let mut released = volume("v", &json!({}));
    released["status"]["phase"] = "Released".into();
    let kept = |name: &str| volume("v", &json!({"claimRef": {"namespace": "shop", "name": name}}));
    expect_all(vec![
        by_hand("one that fits").lists(VOLUMES, &[volume("v", &json!({}))]).passes(&["no-volume"]),
        by_hand("none at all").fails("no-volume").says("of 0 volumes none has that class"),
        by_hand("one that is too small")
            .lists(VOLUMES, &[sized("v", "5Gi")])
            .fails("no-volume")
            .says("v: it is too small"),
        by_hand("one that was used before")
            .lists(VOLUMES, &[released])
            .fails("no-volume")
            .says("not available"),
        by_hand("one that is kept for it").lists(VOLUMES, &[kept("data")]).passes(&["no-volume"]),
        by_hand("one that is kept for another").lists(VOLUMES, &[kept("other")]).fails("no-volume"),
        by_hand("one of the release")
            .releases(&[
                {
                    let mut volume = volume("v", &json!({}));
                    volume.as_object_mut().unwrap().remove("status");
                    volume
                },
                claim(&json!({"storageClassName": "manual"})),
            ])
            .passes(&["no-volume"]),
        by_hand("no class, and a volume of none")
            .releases(&none())
            .lists(VOLUMES, &[volume("v", &json!({"storageClassName": ""}))])
            .passes(&["no-volume"]),
        by_hand("no class, and a volume of one")
            .releases(&none())
            .lists(VOLUMES, &[sized("v", "10Gi")])
            .fails("no-volume"),
        by_hand("two for two")
            .releases(&set(2))
            .lists(VOLUMES, &[sized("v", "10Gi"), sized("w", "10Gi")])
            .passes(&["no-volume"]),
        by_hand("one for two")
            .releases(&set(2))
            .lists(VOLUMES, &[sized("v", "10Gi")])
            .fails("no-volume")
            .says("v: another claim of the release takes it"),
        by_hand("two for two, of which the small one takes the small one")
            .releases(&[named("large", "20Gi"), named("small", "10Gi")])
            .lists(VOLUMES, &[sized("v", "10Gi"), sized("w", "20Gi")])
            .passes(&["no-volume"]),
    ])
    .await;
}

#[tokio::test]
async fn volumes_within_reach() {
    let affinity = |zone: &str| {
        let terms = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]);
        json!({"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}})
    };
    let pods = |zone: &str| {
        [
            claim(&json!({"storageClassName": "manual"})),
            workload("Deployment", &json!({"nodeSelector": {"zone": zone}})),
        ]
    };
    let waiting = class(
        "manual",
        &json!({"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    expect_all(vec![
        by_hand("where the pods may run")
            .releases(&pods("a"))
            .lists(VOLUMES, &[volume("v", &affinity("a"))])
            .passes(&["no-volume"]),
        by_hand("where they may not")
            .releases(&pods("b"))
            .lists(VOLUMES, &[volume("v", &affinity("a"))])
            .fails("no-volume"),
        by_hand("a class that waits, and pods")
            .releases(&pods("a"))
            .lists(CLASSES, std::slice::from_ref(&waiting))
            .fails("no-volume"),
        by_hand("a class that waits, and no pods").lists(CLASSES, &[waiting]).warns("no-volume"),
    ])
    .await;
}

#[tokio::test]
async fn places_that_a_class_allows() {
    let allowed = |zone: &str| {
        let terms = json!([{"matchLabelExpressions": [{"key": "zone", "values": [zone]}]}]);
        class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer", "allowedTopologies": terms}))
    };
    let pods = || [claim(&json!({})), workload("Deployment", &json!({"nodeSelector": {"zone": "a"}}))];
    expect_all(vec![
        case("where the pods may run")
            .releases(&pods())
            .lists(CLASSES, &[allowed("a")])
            .passes(&["no-volume"]),
        case("where they may not").releases(&pods()).lists(CLASSES, &[allowed("b")]).fails("no-volume"),
        case("where no node is").releases(&pods()).lists(CLASSES, &[allowed("c")]).fails("no-volume"),
    ])
    .await;
}

/// A driver that tells its room, and a claim that pods use.
fn telling(name: &str, capacities: &[Value]) -> Case {
    let waiting = class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"}));
    case(name)
        .lists(CLASSES, &[waiting])
        .lists(DRIVERS, &[json!({"metadata": {"name": DRIVER}, "spec": {"storageCapacity": true}})])
        .lists(CAPACITIES, capacities)
        .releases(&[claim(&json!({})), workload("Deployment", &json!({}))])
}

fn capacity(zone: &str, fields: &Value) -> Value {
    let mut capacity = json!({
        "metadata": {"name": format!("room-{zone}"), "namespace": "storage"},
        "storageClassName": "fast", "nodeTopology": {"matchLabels": {"zone": zone}}, "capacity": "100Gi",
    });
    crate::world::set(&mut capacity, fields);
    capacity
}

#[tokio::test]
async fn room_that_a_driver_tells_of() {
    let selects =
        |zone: &str| [claim(&json!({})), workload("Deployment", &json!({"nodeSelector": {"zone": zone}}))];
    let immediate = class("fast", &json!({}));
    let rule = "capacity-short";
    expect_all(vec![
        telling("enough", &[capacity("a", &json!({}))]).passes(&[rule]),
        telling("too little", &[capacity("a", &json!({"capacity": "5Gi"}))])
            .fails(rule)
            .says("it tells of 5Gi at most"),
        telling("no volume may be so large", &[capacity("a", &json!({"maximumVolumeSize": "5Gi"}))])
            .fails(rule),
        telling("nothing is told", &[]).fails(rule).says("it tells of nothing"),
        telling("of another class", &[capacity("a", &json!({"storageClassName": "slow"}))]).fails(rule),
        telling("where the pods may run", &[capacity("a", &json!({}))])
            .releases(&selects("a"))
            .passes(&[rule]),
        telling("where they may not", &[capacity("a", &json!({}))]).releases(&selects("b")).fails(rule),
        telling("nowhere, of a driver that does not go by it", &[])
            .lists(DRIVERS, &[json!({"metadata": {"name": DRIVER}, "spec": {"storageCapacity": false}})]),
        telling("too little for a class that does not wait", &[capacity("a", &json!({"capacity": "5Gi"}))])
            .lists(CLASSES, &[immediate])
            .warns(rule),
        telling("a class of the release", &[])
            .lists(CLASSES, &[])
            .releases(&[
                class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"})),
                claim(&json!({})),
                workload("Deployment", &json!({})),
            ])
            .warns(rule),
    ])
    .await;
}

#[tokio::test]
async fn ways_of_access() {
    let of = |driver: &str, fields: &Value| {
        case(format!("{driver} {fields}"))
            .lists(CLASSES, &[class("fast", &json!({"provisioner": driver}))])
            .lists(CSI_NODES, &[csi_node("node-1", &[driver]), csi_node("node-2", &[driver])])
            .releases(&[claim(fields)])
    };
    let (shared, one) = (json!({"accessModes": ["ReadWriteMany"]}), json!({}));
    let block = json!({"accessModes": ["ReadWriteMany"], "volumeMode": "Block"});
    let readers = json!({"accessModes": ["ReadOnlyMany"]});
    let rule = "access-mode";
    expect_all(vec![
        of("ebs.csi.aws.com", &shared).fails(rule).says("ReadWriteMany with a file system"),
        of("ebs.csi.aws.com", &block).passes(&[rule]),
        of("ebs.csi.aws.com", &one).passes(&[rule]),
        of("disk.csi.azure.com", &shared).fails(rule),
        of("rook-ceph.rbd.csi.ceph.com", &shared).fails(rule),
        of("dobs.csi.digitalocean.com", &readers).fails(rule),
        of("dobs.csi.digitalocean.com", &block).fails(rule),
        of("file.csi.azure.com", &shared),
        of(DRIVER, &shared),
        case("kubernetes.io/aws-ebs, by its new name")
            .lists(CLASSES, &[class("fast", &json!({"provisioner": "kubernetes.io/aws-ebs"}))])
            .lists(
                CSI_NODES,
                &[csi_node("node-1", &["ebs.csi.aws.com"]), csi_node("node-2", &["ebs.csi.aws.com"])],
            )
            .releases(&[claim(&shared)])
            .fails(rule),
    ])
    .await;
}
