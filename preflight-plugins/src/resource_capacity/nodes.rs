//! Nodes that are not well.

use preflight_core::{Examination, Remediation, Subject};

use super::NODE_CONDITION;
use super::reading::Read;
use crate::capacity::view::Node;
use crate::told::some;

/// Names that are told of each condition.
const TOLD: usize = 5;
/// Conditions that must not be true.
const PRESSURES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

pub(super) fn examine(check: &Examination, read: &Read) {
    let Some(nodes) = check.need(&[&NODE_CONDITION], read.nodes.clone()) else { return };
    let mut rule = check.rule(&NODE_CONDITION);
    let mut find = |what: &str, is: &dyn Fn(&Node) -> bool| {
        let names: Vec<&str> =
            nodes.iter().filter(|(_, _, node)| is(node)).map(|(_, name, _)| name).collect();
        let Some(first) = names.first() else { return };
        let message = format!("{} of {} nodes {what}: {}", names.len(), nodes.len(), some(&names, TOLD));
        let remedy =
            Remediation::new("See what the node says").command(format!("kubectl describe node {first}"));
        rule.warn(Subject::new(format!("Node {first}")), message, remedy);
    };
    let condition = |node: &Node, kind: &str| {
        node.status
            .conditions
            .iter()
            .find(|condition| condition.kind == kind)
            .map(|condition| condition.status.clone())
    };
    find("are not ready", &|node| condition(node, "Ready").as_deref() != Some("True"));
    for pressure in PRESSURES {
        find(&format!("say {pressure}"), &|node| condition(node, pressure).as_deref() == Some("True"));
    }
    rule.examined_many(nodes.len());
    rule.conclude("nodes");
}
