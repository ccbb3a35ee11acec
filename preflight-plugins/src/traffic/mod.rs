//! Will anything reach the release?

mod added;
mod addresses;
mod policies;
mod probes;
mod routes;
mod services;
mod world;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{CheckResult, Context, Descriptor, Phase, Plugin, Undecided, async_trait, rules};

use world::{Pod, World};

rules! { plugin "traffic";
    /// A Service selects no pods.
    ///
    /// Neither the release nor the cluster has pods with the labels that it selects by, so nobody answers. Compare its
    /// selector with the labels of the pod template, not with those of the workload.
    ///
    /// ```sh
    /// kubectl get pods -n NAMESPACE --show-labels
    /// kubectl get endpointslices -n NAMESPACE -l kubernetes.io/service-name=SERVICE
    /// ```
    NO_PODS = "no-pods", harm;
    /// A Service selects the pods of a Job as well.
    ///
    /// While the Job runs it gets a share of the traffic that is meant for others. Give its pods other labels.
    ///
    /// ```sh
    /// kubectl get pods -n NAMESPACE -l SELECTOR
    /// ```
    PODS_OF_JOB = "pods-of-job", harm;
    /// A Service leads to a named port that its pods do not have.
    ///
    /// The name must be that of a port of a container. The Service has no endpoints for it otherwise.
    ///
    /// ```sh
    /// kubectl get endpointslices -n NAMESPACE -l kubernetes.io/service-name=SERVICE -o yaml
    /// ```
    TARGET_PORT = "target-port", harm;
    /// A probe asks a named port that its container does not have.
    ///
    /// The kubelet cannot find the port, so the probe fails each time: the pod never gets ready, or is restarted again and
    /// again.
    ///
    /// ```sh
    /// kubectl describe pod POD -n NAMESPACE
    /// ```
    PROBE_PORT = "probe-port", wont_land;
    /// The release moves a Service to pods that are not ready yet.
    ///
    /// Its new selector matches none of the pods that are ready now: from the moment it is applied until the new pods are
    /// ready, nobody answers. Apply the workload first, and the Service once it has rolled out.
    ///
    /// ```sh
    /// kubectl rollout status deployment/NAME -n NAMESPACE
    /// ```
    MOVES_TOO_EARLY = "moves-too-early", harm;
    /// An Ingress or a route leads to a Service, or to a port of one, that does not exist.
    ///
    /// Whoever comes that way gets an error.
    ///
    /// ```sh
    /// kubectl get services -n NAMESPACE
    /// ```
    BACKEND_MISSING = "backend-missing", harm;
    /// A host and path of an Ingress is taken by another namespace.
    ///
    /// Which of the two gets the traffic is up to the ingress controller; some refuse the second one.
    ///
    /// ```sh
    /// kubectl get ingresses -A
    /// ```
    HOST_TAKEN = "host-taken", harm;
    /// A Service asks for a port of the nodes that another Service has.
    ///
    /// The API server refuses it. Leave `nodePort` out, and a free one is chosen.
    ///
    /// ```sh
    /// kubectl get services -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,PORTS:.spec.ports[*].nodePort
    /// ```
    NODE_PORT_TAKEN = "node-port-taken", wont_land;
    /// A Service asks for an address that another Service has.
    ///
    /// The API server refuses it. Leave `clusterIP` out, and a free one is chosen.
    ///
    /// ```sh
    /// kubectl get services -A -o wide
    /// ```
    CLUSTER_IP_TAKEN = "cluster-ip-taken", wont_land;
    /// A Service wants addresses of two families, and the cluster has one.
    ///
    /// `RequireDualStack` and a second entry of `ipFamilies` are refused where Services have one range of addresses. Ask for
    /// `PreferDualStack`.
    ///
    /// ```sh
    /// kubectl get servicecidrs
    /// ```
    IP_FAMILY = "ip-family", wont_land;
    /// There are not enough addresses for the release's Services.
    ///
    /// The ranges of the cluster are used up. Remove Services that nobody needs, make some of them headless, or add a range.
    ///
    /// ```sh
    /// kubectl get servicecidrs
    /// kubectl get services -A --no-headers | wc -l
    /// ```
    ADDRESSES_SHORT = "addresses-short", wont_land;
    /// NetworkPolicies leave pods of the release without something that they need.
    ///
    /// Pods that a policy selects get only what some policy allows: here nobody may reach a port of theirs that a Service
    /// leads to, or they may not ask the cluster's DNS.
    ///
    /// ```sh
    /// kubectl describe networkpolicies -n NAMESPACE
    /// ```
    NETWORK_POLICY = "network-policy", harm;
}

static SERVICES: Resource = Resource::namespaced("", "v1", "services", "Service");
static INGRESSES: Resource = Resource::namespaced("networking.k8s.io", "v1", "ingresses", "Ingress");
static POLICIES: Resource =
    Resource::namespaced("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy");
static RANGES: Resource = Resource::cluster_wide("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR");

/// Will anything reach the release?
#[derive(Debug, Clone, Copy)]
pub struct Traffic;

#[async_trait]
impl Plugin for Traffic {
    fn descriptor(&self) -> Descriptor {
        let lists = [&SERVICES, &INGRESSES, &POLICIES, &RANGES];
        let descriptor = Descriptor::new("traffic", Phase::Resources, RULES)
            .summary("Services, Ingresses and NetworkPolicies lead to the release's pods")
            .reads(Read::list::<Pod>());
        lists.into_iter().fold(descriptor, |descriptor, list| descriptor.reads(Read::select(list.clone())))
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let cluster = context.unconnected();
        let release = context.release().await?;
        probes::examine(&check, &release);
        let world = World::look(&cluster, &release).await;
        services::examine(&check, &world);
        addresses::examine(&check, &world);
        routes::examine(&check, &world);
        policies::examine(&check, &world);
        Ok(check.finish())
    }
}
