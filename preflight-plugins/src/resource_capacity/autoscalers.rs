//! HorizontalPodAutoscalers: how many pods they will have a workload have.

use preflight_core::cluster::ClusterError;
use preflight_core::release::Projected;
use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use super::workloads::Scalers;

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Autoscaler(Value);

view!(Autoscaler: namespaced "autoscaling" "v2" "horizontalpodautoscalers" "HorizontalPodAutoscaler");

/// The autoscalers as they will be.
pub(super) async fn read(projected: &Projected) -> Result<Scalers, ClusterError> {
    let mut scalers = Scalers::default();
    for (namespace, name, autoscaler) in projected.list_within::<Autoscaler>().await?.iter() {
        scalers.add(namespace, name, &autoscaler.0);
    }
    Ok(scalers)
}
