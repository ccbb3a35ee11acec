//! Which nodes may run a pod, as far as the pod itself and the nodes' labels and taints say.

use preflight_core::cluster::Listed;
use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use crate::labels::{Labels, key_of, meets};

/// What is looked at of a node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

view!(Node: cluster "" "v1" "nodes" "Node");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: Labels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    taints: Vec<Taint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    node_info: NodeInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    operating_system: String,
    architecture: String,
    container_runtime_version: String,
}

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
    nodes
        .iter()
        .filter(|(_, name, node)| allows(spec, name, node))
        .map(|(_, name, node)| (name, node))
        .collect()
}

fn allows(spec: &Value, name: &str, node: &Node) -> bool {
    if let Some(named) = spec["nodeName"].as_str().filter(|named| !named.is_empty()) {
        return named == name;
    }
    let labels = &node.metadata.labels;
    let selected = spec["nodeSelector"].as_object().is_none_or(|wanted| {
        wanted.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
    });
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = required["nodeSelectorTerms"].as_array();
    // The terms are alternatives; an empty one matches nothing.
    let near = terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, name, labels)));
    let counts = |taint: &&Taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !taint.key.starts_with("node.kubernetes.io/")
    };
    let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tolerated = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    selected && near && node.spec.taints.iter().filter(counts).all(tolerated)
}

fn term_matches(term: &Value, name: &str, labels: &Labels) -> bool {
    let list = |key: &str| term[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let (expressions, fields) = (list("matchExpressions"), list("matchFields"));
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|wanted| meets(wanted, labels.get(key_of(wanted)).map(String::as_str)))
        && fields.iter().all(|wanted| meets(wanted, (key_of(wanted) == "metadata.name").then_some(name)))
}

/// `staging/src/k8s.io/component-helpers/scheduling/corev1/helpers.go`, v1.36 (`ToleratesTaint`).
fn tolerates(toleration: &Value, taint: &Taint) -> bool {
    let text = |key: &str| toleration[key].as_str().unwrap_or_default();
    let effect = text("effect").is_empty() || text("effect") == taint.effect;
    let key = text("key").is_empty() || text("key") == taint.key;
    let value = match text("operator") {
        "" | "Equal" => text("value") == taint.value && !text("key").is_empty(),
        "Exists" => true,
        _ => false,
    };
    effect && key && value
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
            assert_eq!(allows(&spec, "n", &arm), fits, "{spec}");
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
