//! What to do about pods that find no node.

use preflight_core::Remediation;

use super::decide::amount_of;
use crate::capacity::reason::{Histogram, Reason};
use crate::capacity::shortfall::Shortfall;

/// The field that asks for what most nodes do not have.
pub(super) fn field(nodes: &Histogram) -> &'static str {
    let most = nodes
        .counts
        .iter()
        .filter(|(reason, _)| **reason != Reason::NotNamed)
        .max_by_key(|(_, count)| **count);
    match most.map(|(reason, _)| reason) {
        Some(Reason::Affinity | Reason::TermsConflict) => "affinity",
        Some(Reason::Taint | Reason::Cordoned) => "tolerations",
        Some(Reason::NodeName) => "nodeName",
        Some(Reason::Port) => "containers[0].ports",
        Some(Reason::Spread | Reason::SpreadLabel) => "topologySpreadConstraints",
        Some(Reason::PodAffinity) => "affinity.podAffinity",
        Some(Reason::PodAntiAffinity | Reason::ExistingAntiAffinity) => "affinity.podAntiAffinity",
        Some(
            Reason::VolumeElsewhere
            | Reason::NoVolume
            | Reason::VolumeSpace
            | Reason::VolumeCount
            | Reason::ClaimInUse,
        ) => "volumes",
        _ => "containers[0].resources",
    }
}

/// What to do about pods that no node takes.
pub(super) fn remedy(nodes: &Histogram, node: Option<&str>, shortfall: Option<&Shortfall>) -> Remediation {
    let describe = match node {
        Some(node) => format!("kubectl describe node {node}"),
        None => "kubectl describe nodes".to_owned(),
    };
    match field(nodes) {
        "affinity" | "nodeName" => {
            Remediation::new("Give a node what the pod asks for, or ask for what nodes have")
                .command("kubectl get nodes --show-labels")
        }
        "tolerations" => Remediation::new("Tolerate the taint, or take it away")
            .command("kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints"),
        "containers[0].resources" => match (node, shortfall) {
            (Some(node), Some(Shortfall { missing, .. })) => {
                let less =
                    missing.iter().map(|(name, amount)| format!("{} less {name}", amount_of(name, *amount)));
                let less = less.collect::<Vec<_>>().join(" and ");
                Remediation::new(format!("Ask for {less}, or make room on {node}")).command(describe)
            }
            _ => Remediation::new("Make room on a node, or ask for less").command(describe),
        },
        "volumes" => Remediation::new("See where the volume can be reached")
            .command("kubectl get persistentvolumes -o wide"),
        _ => Remediation::new("Loosen what the pod demands of its neighbours, or make room elsewhere")
            .command("kubectl get pods -A -o wide"),
    }
}
