//! Why a node does not take a pod, in the scheduler's words.

use std::collections::BTreeMap;
use std::fmt;

/// Why a node does not take a pod. Displayed in the scheduler's words (`ErrReason…` of the filters in
/// `pkg/scheduler/framework/plugins`, v1.36).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The pod's required affinity names other nodes.
    NotNamed,
    /// The alternatives of the pod's required affinity contradict themselves.
    TermsConflict,
    /// The node is cordoned.
    Cordoned,
    /// The pod names another node.
    NodeName,
    /// The node has a taint that the pod does not bear.
    Taint,
    /// The pod's selector or required affinity does not allow the node.
    Affinity,
    /// Another pod has the port.
    Port,
    /// The node takes no more pods.
    TooManyPods,
    /// Less is left of this resource than the pod requests.
    Insufficient(String),
    /// A claim that only one pod may use is in use.
    ClaimInUse,
    /// The driver attaches no more volumes to the node.
    VolumeCount,
    /// A bound volume cannot be reached from the node.
    VolumeElsewhere,
    /// No volume that the claim could be bound to can be reached from the node.
    NoVolume,
    /// The driver has no room for the volume there.
    VolumeSpace,
    /// The node lacks the label by which pods are to be spread.
    SpreadLabel,
    /// Pods would be spread too unevenly.
    Spread,
    /// No pod that must be near is near.
    PodAffinity,
    /// A pod that must not be near is near.
    PodAntiAffinity,
    /// The pod must not be near a pod that runs there.
    ExistingAntiAffinity,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::TermsConflict => "pod affinity terms conflict",
            Self::Cordoned => "node(s) were unschedulable",
            Self::NodeName => "node(s) didn't match the requested node name",
            Self::Taint => "node(s) had untolerated taint(s)",
            Self::Affinity => "node(s) didn't match Pod's node affinity/selector",
            Self::Port => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(f, "Insufficient {resource}"),
            Self::ClaimInUse => {
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
            }
            Self::VolumeCount => "node(s) exceed max volume count",
            Self::VolumeElsewhere => "node(s) didn't match PersistentVolume's node affinity",
            Self::NoVolume => "node(s) didn't find available persistent volumes to bind",
            Self::VolumeSpace => "node(s) did not have enough free storage",
            Self::SpreadLabel => "node(s) didn't match pod topology spread constraints (missing required label)",
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::PodAffinity => "node(s) didn't match pod affinity rules",
            Self::PodAntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
        })
    }
}

impl Reason {
    /// Whether evicting pods from the node may help (`Unschedulable` and not `UnschedulableAndUnresolvable`).
    #[must_use]
    pub const fn may_be_resolved(&self) -> bool {
        matches!(
            self,
            Self::Port
                | Self::TooManyPods
                | Self::Insufficient(_)
                | Self::ClaimInUse
                | Self::VolumeCount
                | Self::Spread
                | Self::PodAntiAffinity
                | Self::ExistingAntiAffinity
        )
    }
}

/// Why a pod fits on none of the nodes: how many nodes have which reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many of them have a reason. One node may have several.
    pub counts: BTreeMap<Reason, usize>,
}

impl fmt::Display for Histogram {
    /// As the scheduler's event (`FitError.Error`, `pkg/scheduler/framework/types.go`, v1.36).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available: ", self.nodes)?;
        if self.counts.contains_key(&Reason::TermsConflict) {
            return f.write_str("pod affinity terms conflict.");
        }
        let mut told: Vec<String> =
            self.counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        told.sort();
        write!(f, "{}.", told.join(", "))
    }
}
