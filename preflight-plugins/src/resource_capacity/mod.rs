//! Will the pods of the release be scheduled, and which will not, for want of what?

mod autoscalers;
mod budgets;
mod decide;
mod nodes;
mod objects;
mod open;
mod placement;
mod reading;
mod remedies;
mod scene;
mod settings;
mod usage;
mod verdict;
mod volumes;
mod workloads;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{CheckResult, Context, Descriptor, Phase, Plugin, Undecided, async_trait, rules};

pub use settings::{Capacity, Group, Metrics, ResourceThresholds};

use crate::capacity::admit::{PriorityClass, RuntimeClass};
use crate::capacity::limits::LimitRange;
use crate::capacity::quota::ResourceQuota;
use crate::capacity::view::{Node, Pod};
use crate::storage::{self, Claim, CsiDriver, CsiNode, StorageClass, Volume};

rules! { plugin "resource-capacity";
    /// No placement is found for a pod of the release.
    ///
    /// Every node is tried with the scheduler's own filters, against what runs there, and the rollout is played through
    /// step by step: a pod stays Pending, and with it the rollout. The message counts the nodes by what stands in the
    /// way, in the scheduler's words, and says how much is missing on the best of them. Make room, ask for less, or
    /// change what the pod demands of a node. "No placement found" says that every order that was tried failed, though
    /// another one might fit.
    ///
    /// ```sh
    /// kubectl describe nodes
    /// ```
    UNSCHEDULABLE = "unschedulable", wont_land;
    /// A namespace's ResourceQuota has no room for the release.
    ///
    /// The API server refuses the pods (or other objects) that exceed it; the controllers try again and again, and the
    /// rollout stands still. What lands only because old pods make room step by step is a warning: it is slow. Raise
    /// the quota, or ask for less.
    ///
    /// ```sh
    /// kubectl describe resourcequota -n NAMESPACE
    /// ```
    QUOTA_EXCEEDED = "quota-exceeded", wont_land;
    /// A pod breaks a LimitRange of its namespace.
    ///
    /// A request or limit is below its minimum, above its maximum, or the two are too far apart: the API server refuses
    /// the pod when its controller creates it.
    ///
    /// ```sh
    /// kubectl describe limitrange -n NAMESPACE
    /// ```
    LIMIT_RANGE = "limit-range", wont_land;
    /// A PriorityClass or RuntimeClass that a pod names does not exist.
    ///
    /// The API server refuses such pods when their controller creates them, so there is no pod to look at. Create the
    /// class, or name one that exists.
    ///
    /// ```sh
    /// kubectl get priorityclasses,runtimeclasses
    /// ```
    CLASS_MISSING = "class-missing", wont_land;
    /// Pods of others are evicted to make room for the release.
    ///
    /// The release's pods have a higher priority, so the scheduler deletes the ones that are named. They are started
    /// elsewhere, if they fit.
    PREEMPTION = "preemption", harm;
    /// What an autoscaler may start does not fit.
    ///
    /// At its `minReplicas` the workload fits; at its `maxReplicas` some pods stay Pending, for want of room or of quota.
    AUTOSCALING_MAXIMUM = "autoscaling-maximum", harm;
    /// Nodes are not ready, or under pressure.
    ///
    /// They take no pods, or evict those they have.
    ///
    /// ```sh
    /// kubectl describe node NAME
    /// ```
    NODE_CONDITION = "node-condition", harm;
    /// After the release more of the cluster is requested than the environment allows.
    ///
    /// `resource_thresholds` names the share of the allocatable CPU and memory that pods may request. Room is still
    /// there, but not as much as someone decided that there should be.
    REQUESTED_OVER_THRESHOLD = "requested-over-threshold", policy;
    /// More of the cluster is in use than the environment allows.
    ///
    /// As the Metrics API tells it, whatever the pods request. Requests that are set too low show here.
    ///
    /// ```sh
    /// kubectl top nodes
    /// ```
    USED_OVER_THRESHOLD = "used-over-threshold", policy;
    /// A PodDisruptionBudget allows no disruption.
    ///
    /// Rollouts do not ask it, but nodes cannot be drained while pods that it covers run there.
    ///
    /// ```sh
    /// kubectl get poddisruptionbudgets -A
    /// ```
    DISRUPTION_BUDGET = "disruption-budget", harm;
}

/// Will the pods of the release be scheduled?
#[derive(Debug, Clone, Copy)]
pub struct ResourceCapacity;

fn config_maps() -> Resource {
    Resource::namespaced("", "v1", "configmaps", "ConfigMap")
}

#[async_trait]
impl Plugin for ResourceCapacity {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("resource-capacity", Phase::Resources, RULES)
            .summary("The pods of the release will be scheduled, within quotas and limits")
            .reads(Read::list::<Node>())
            .reads(Read::list::<Pod>())
            .reads(Read::list::<ResourceQuota>())
            .reads(Read::list::<LimitRange>())
            .reads(Read::list::<PriorityClass>())
            .reads(Read::list::<RuntimeClass>())
            .reads(Read::list::<reading::Namespace>())
            .reads(Read::list::<autoscalers::Autoscaler>())
            .reads(Read::list::<budgets::Budget>())
            .reads(Read::list::<usage::NodeMetrics>())
            .reads(Read::list::<Claim>())
            .reads(Read::list::<Volume>())
            .reads(Read::list::<StorageClass>())
            .reads(Read::list::<CsiNode>())
            .reads(Read::list::<CsiDriver>())
            .reads(Read::list::<storage::Capacity>())
            .reads(Read::get(config_maps()))
            .reads(Read::dynamic("objects that a new quota counts"))
            .settings::<ResourceThresholds>()
            .settings::<Capacity>()
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let cluster = context.unconnected();
        let (contact, release, ()) =
            futures::join!(context.cluster(), context.release(), reading::prefetch(&cluster));
        contact?;
        let release = release?;
        let projected = context.projected().await?;
        let read = reading::read(&cluster, &projected, &release).await;
        nodes::examine(&check, &read);
        let (placed, ()) = futures::join!(
            placement::examine(&check, context, &cluster, &release, &projected, &read),
            usage::examine(&check, context, &cluster, &read),
        );
        budgets::examine(&check, &projected, &placed).await;
        Ok(check.finish())
    }
}
