//! Which nodes may run a pod, as far as the pod itself and the nodes' labels and taints say.

use preflight_core::cluster::Listed;
use serde::Deserialize;
use serde_json::Value;

use crate::capacity::shape::Shape;
pub use crate::capacity::view::Node;
use crate::capacity::view::{PodSpec, Taint};
use crate::labels::Labels;

impl Node {
    /// Operating system and architecture, in Go's names; empty where the node does not say.
    #[must_use]
    pub fn platform(&self) -> (&str, &str) {
        let label = |key: &str| self.metadata.labels.get(key).map(String::as_str).unwrap_or_default();
        let info = &self.status.node_info;
        let os =
            if info.operating_system.is_empty() { label("kubernetes.io/os") } else { &info.operating_system };
        let arch =
            if info.architecture.is_empty() { label("kubernetes.io/arch") } else { &info.architecture };
        (os, arch)
    }

    /// The container runtime and its version: `containerd`, (2, 1).
    #[must_use]
    pub fn runtime(&self) -> Option<(&str, (u32, u32))> {
        let (name, version) = self.status.node_info.container_runtime_version.split_once("://")?;
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some((name, (numbers.next()?.ok()?, numbers.next()?.ok()?)))
    }
}

/// The nodes that a pod's `spec` allows: node name, selector, required affinity and taints. Cordons and the taints of
/// conditions, which come and go, do not count.
pub fn candidates<'a>(spec: &Value, nodes: &'a Listed<Node>) -> Vec<(&'a str, &'a Node)> {
    let wanted = wanted(spec);
    nodes
        .iter()
        .filter(|(_, name, node)| allows(wanted.as_ref(), name, node))
        .map(|(_, name, node)| (name, node))
        .collect()
}

/// What a pod demands; `None` where that cannot be read, which the API server will have more to say about.
fn wanted(spec: &Value) -> Option<Shape> {
    let spec = PodSpec::deserialize(spec).ok()?;
    Some(Shape::of("", &Labels::new(), &spec))
}

fn allows(wanted: Option<&Shape>, name: &str, node: &Node) -> bool {
    let Some(shape) = wanted else { return true };
    if !shape.node_name.is_empty() {
        return shape.node_name == name;
    }
    let lasting = node.spec.taints.iter().filter(|taint| !taint.key.starts_with("node.kubernetes.io/"));
    let taints: Vec<Taint> = lasting.cloned().collect();
    shape.selects(name, &node.metadata.labels)
        && shape.repelled(&taints, &["NoSchedule", "NoExecute"]).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn selectors_affinity_and_taints_are_kept() {
        let arm = node(json!({
            "metadata": {"labels": {"kubernetes.io/arch": "arm64", "zone": "a", "size": "7"}},
            "spec": {"taints": [
                {"key": "kubernetes.io/arch", "value": "arm64", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]},
        }));
        let tolerating = |mut spec: Value| {
            spec["tolerations"] = json!([{"key": "kubernetes.io/arch", "operator": "Exists"}]);
            spec
        };
        let affinity = |expression: Value| {
            let terms = json!({"nodeSelectorTerms": [{}, {"matchExpressions": [expression]}]});
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
        };
        for (spec, fits) in [
            (json!({}), false),
            (tolerating(json!({})), true),
            (json!({"tolerations": [{"key": "kubernetes.io/arch", "value": "arm64"}]}), true),
            (json!({"tolerations": [{"key": "kubernetes.io/arch", "value": "amd64"}]}), false),
            (json!({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}), false),
            (json!({"nodeName": "n"}), true),
            (json!({"nodeName": "other"}), false),
            (tolerating(json!({"nodeSelector": {"zone": "a"}})), true),
            (tolerating(json!({"nodeSelector": {"zone": "b"}})), false),
            (tolerating(affinity(json!({"key": "zone", "operator": "In", "values": ["a"]}))), true),
            (tolerating(affinity(json!({"key": "zone", "operator": "NotIn", "values": ["a"]}))), false),
            (tolerating(affinity(json!({"key": "size", "operator": "Gt", "values": ["6"]}))), true),
            (tolerating(affinity(json!({"key": "size", "operator": "Lt", "values": ["6"]}))), false),
            (tolerating(affinity(json!({"key": "gone", "operator": "DoesNotExist"}))), true),
        ] {
            assert_eq!(allows(wanted(&spec).as_ref(), "n", &arm), fits, "{spec}");
        }
    }

    #[test]
    fn platforms_come_from_the_kubelet_or_else_from_labels() {
        let told = node(json!({"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "arm64",
            "containerRuntimeVersion": "containerd://2.1.4"}}}));
        assert_eq!(told.platform(), ("linux", "arm64"));
        assert_eq!(told.runtime(), Some(("containerd", (2, 1))));
        let labelled = node(
            json!({"metadata": {"labels": {"kubernetes.io/os": "windows", "kubernetes.io/arch": "amd64"}}}),
        );
        assert_eq!(labelled.platform(), ("windows", "amd64"));
    }
}
