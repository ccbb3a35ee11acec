//! Which nodes reach which volumes.

use preflight_core::Quantity;
use serde_json::Value;

use super::{Capacity, StorageClass, Volume};
use crate::labels::{Labels, key_of, meets, selects};

/// Labels of volumes that say where they are, with the ones that took their place
/// (`pkg/scheduler/framework/plugins/volumezone/volume_zone.go`, v1.36).
const PLACES: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
];

/// Between the zones of a volume that is in several (`staging/src/k8s.io/cloud-provider/volume/helpers/zones.go`, v1.36).
const BETWEEN_ZONES: &str = "__";

/// Whether a node with these labels meets a node selector: one of its terms, of which an empty one matches nothing.
/// Volumes go by labels alone, so terms that ask for fields match no node.
#[must_use]
pub fn node_selector_matches(selector: &Value, labels: &Labels) -> bool {
    let terms = selector["nodeSelectorTerms"].as_array();
    terms.into_iter().flatten().any(|term| {
        let expressions = term["matchExpressions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields = term["matchFields"].as_array().is_some_and(|fields| !fields.is_empty());
        !fields
            && !expressions.is_empty()
            && expressions.iter().all(|wanted| meets(wanted, labels.get(key_of(wanted)).map(String::as_str)))
    })
}

/// Whether a volume can be used on a node with these labels: its node affinity, and its zone and region.
#[must_use]
pub fn volume_reaches(volume: &Volume, labels: &Labels) -> bool {
    volume.node_affinity().is_none_or(|required| node_selector_matches(required, labels))
        && zone_labels_reach(&volume.metadata.labels, labels)
}

/// Whether a node with these labels is in a zone and region of a volume with those. A node that says neither is taken
/// for being everywhere.
#[must_use]
pub fn zone_labels_reach(volume: &Labels, node: &Labels) -> bool {
    if !PLACES.iter().any(|(key, _)| node.contains_key(*key)) {
        return true;
    }
    PLACES.iter().all(|(key, now)| {
        volume.get(*key).is_none_or(|places| {
            let own = node.get(*key).or_else(|| node.get(*now));
            own.is_some_and(|own| places.split(BETWEEN_ZONES).any(|place| place == own))
        })
    })
}

/// Whether volumes of a class may be made for a node with these labels (`MatchTopologySelectorTerms`,
/// `pkg/apis/core/v1/helper/helpers.go`, v1.36): one of the terms is met, or there are none.
#[must_use]
pub fn meets_topology(class: &StorageClass, labels: &Labels) -> bool {
    let met = |requirement: &super::TopologyRequirement| {
        labels.get(&requirement.key).is_some_and(|value| requirement.values.contains(value))
    };
    class.allowed_topologies.is_empty()
        || class.allowed_topologies.iter().any(|term| {
            !term.match_label_expressions.is_empty() && term.match_label_expressions.iter().all(met)
        })
}

/// Whether there is room for a volume of that size, of that class, where a node with these labels reaches it
/// (`hasEnoughCapacity`, `pkg/scheduler/framework/plugins/volumebinding/binder.go`, v1.36).
#[must_use]
pub fn capacity_reaches(capacity: &Capacity, class: &str, size: Quantity, labels: &Labels) -> bool {
    capacity.storage_class_name == class
        && capacity.largest().is_some_and(|largest| largest.value() >= size.value())
        && capacity.node_topology.as_ref().is_some_and(|selector| selects(selector, labels))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn volume(affinity: &Value, own: &[(&str, &str)]) -> Volume {
        let metadata = json!({"labels": labels(own)});
        serde_json::from_value(
            json!({"metadata": metadata, "spec": {"nodeAffinity": {"required": affinity}}}),
        )
        .unwrap()
    }

    #[test]
    fn volumes_are_reached_from_some_nodes() {
        let on = |node: &str| json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "host", "operator": "In", "values": [node]}]}]});
        let zone = "topology.kubernetes.io/zone";
        let old = "failure-domain.beta.kubernetes.io/zone";
        for (affinity, own, node, reached) in [
            (json!(null), vec![], vec![("host", "a")], true),
            (on("a"), vec![], vec![("host", "a")], true),
            (on("b"), vec![], vec![("host", "a")], false),
            (json!({"nodeSelectorTerms": [{}]}), vec![], vec![("host", "a")], false),
            (json!({"nodeSelectorTerms": []}), vec![], vec![("host", "a")], false),
            (json!(null), vec![(zone, "z1")], vec![(zone, "z1")], true),
            (json!(null), vec![(zone, "z1__z2")], vec![(zone, "z2")], true),
            (json!(null), vec![(zone, "z1")], vec![(zone, "z2")], false),
            (json!(null), vec![(zone, "z1")], vec![("host", "a")], true),
            (json!(null), vec![(old, "z1")], vec![(zone, "z1")], true),
            (json!(null), vec![(old, "z1")], vec![(zone, "z2")], false),
            (json!(null), vec![(zone, "z1")], vec![("topology.kubernetes.io/region", "r")], false),
        ] {
            let volume = volume(&affinity, &own);
            assert_eq!(volume_reaches(&volume, &labels(&node)), reached, "{affinity} {own:?} {node:?}");
        }
    }

    #[test]
    fn classes_are_allowed_in_some_places() {
        let class = |terms: Value| -> StorageClass {
            serde_json::from_value(json!({"provisioner": "a", "allowedTopologies": terms})).unwrap()
        };
        let term = json!({"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]});
        for (terms, node, allowed) in [
            (json!([]), vec![], true),
            (json!([term]), vec![("zone", "b")], true),
            (json!([term]), vec![("zone", "c")], false),
            (json!([term]), vec![], false),
            (json!([{}, term]), vec![("zone", "c")], false),
        ] {
            assert_eq!(meets_topology(&class(terms.clone()), &labels(&node)), allowed, "{terms}");
        }
    }

    #[test]
    fn room_is_where_a_driver_says_so() {
        let capacity = |fields: Value| -> Capacity {
            let mut whole =
                json!({"storageClassName": "fast", "nodeTopology": {"matchLabels": {"zone": "a"}}});
            whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            serde_json::from_value(whole).unwrap()
        };
        let size = Quantity::parse("10Gi").unwrap();
        for (fields, node, room) in [
            (json!({"capacity": "10Gi"}), "a", true),
            (json!({"capacity": "9Gi"}), "a", false),
            (json!({"capacity": "10Gi"}), "b", false),
            (json!({"capacity": "20Gi", "maximumVolumeSize": "5Gi"}), "a", false),
            (json!({}), "a", false),
            (json!({"capacity": "10Gi", "nodeTopology": null}), "a", false),
            (json!({"capacity": "10Gi", "nodeTopology": {}}), "b", true),
            (json!({"capacity": "10Gi", "storageClassName": "slow"}), "a", false),
        ] {
            let reached =
                capacity_reaches(&capacity(fields.clone()), "fast", size, &labels(&[("zone", node)]));
            assert_eq!(reached, room, "{fields}");
        }
    }
}
