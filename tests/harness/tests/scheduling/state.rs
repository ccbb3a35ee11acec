//! Making the state of a cluster, and removing it.

use std::future::Future;
use std::time::Duration;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_harness::{Api, ApiError, poll};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{Amount, Node, pick};
use crate::make_cluster;
use crate::oracle::unschedulable;
use crate::release::Workload;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests at once.
const AT_ONCE: usize = 8;

/// The namespaces of a case: that of the release, and that of most other pods.
pub struct Namespaces {
    pub app: String,
    pub fill: String,
}

impl Namespaces {
    pub fn of(case: &str) -> Self {
        Self { app: format!("{case}-app"), fill: format!("{case}-fill") }
    }

    fn all(&self) -> [&String; 2] {
        [&self.app, &self.fill]
    }
}

pub async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) -> Result<(), Failed> {
    let is_so = poll(PATIENCE, async || is().await.then_some(())).await;
    Ok(is_so.ok_or_else(|| format!("{what}: not within {} s", PATIENCE.as_secs()))?)
}

/// The PriorityClasses that pods name.
pub async fn classes(api: &Api) -> Result<(), Failed> {
    for (name, value) in [("low", -10), ("high", 1000)] {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value,
        });
        match api.create(&class).await {
            Err(error) if error.code != 409 => return Err(error.to_string().into()),
            _ => {}
        }
    }
    Ok(())
}

pub async fn make_nodes(api: &Api, nodes: &[Node]) -> Result<(), Failed> {
    let objects: Vec<_> = nodes.iter().map(Node::object).collect();
    Ok(make_cluster(api, &objects).await?)
}

pub async fn remove_nodes(api: &Api) -> Result<(), Failed> {
    api.delete("/api/v1/nodes").await?;
    until("no nodes", || async { api.items("/api/v1/nodes").await.is_empty() }).await
}

/// Makes the namespaces. No pod is accepted before they have their ServiceAccount, and none that follows is told of one
/// that goes.
pub async fn make_namespaces(api: &Api, namespaces: &Namespaces) -> Result<(), Failed> {
    for name in namespaces.all() {
        let purpose = if *name == namespaces.fill { "fill" } else { "app" };
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"purpose": purpose}},
        });
        until("an earlier namespace goes", || async {
            !matches!(api.create(&object).await, Err(ApiError { code: 409, .. }))
        })
        .await?;
    }
    for name in namespaces.all() {
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        until("the ServiceAccount", || async { api.get(&account).await.is_ok() }).await?;
    }
    Ok(())
}

/// What is free on each node.
pub async fn room(api: &Api, nodes: &[Node]) -> Vec<Amount> {
    let mut room: Vec<_> = nodes.iter().map(|node| node.room).collect();
    for pod in api.items("/api/v1/pods").await {
        if let Some(at) = nodes.iter().position(|node| pod["spec"]["nodeName"] == node.name) {
            room[at].take(Amount::of_pod(&pod));
        }
    }
    room
}

/// Creates pods that have a node, and says that they run.
pub async fn run_pods(api: &Api, pods: &[Value]) -> Result<(), Failed> {
    let (mut running, mut rest) = (JoinSet::new(), pods.iter());
    loop {
        while running.len() < AT_ONCE
            && let Some(pod) = rest.next()
        {
            let (api, pod) = (api.clone(), pod.clone());
            running.spawn(async move {
                api.create(&pod).await?;
                let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
                    .map(|kind| json!({"type": kind, "status": "True"}));
                let status = json!({"status": {"phase": "Running", "conditions": conditions}});
                api.merge(&format!("{}/status", api.path(&pod).await?), &status).await
            });
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(done) => done?.map(drop)?,
        }
    }
}

/// A quota that the release nearly fills, and waits until it counts.
pub async fn quota(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    release: &[Workload],
) -> Result<(), Failed> {
    let mut need = Amount::default();
    for pod in api.items(&format!("/api/v1/namespaces/{}/pods", namespaces.app)).await {
        // Those of live workloads are counted with the release.
        if pod["metadata"]["ownerReferences"].is_null() {
            let of_pod = Amount::of_pod(&pod);
            need.cpu += of_pod.cpu;
            need.memory += of_pod.memory;
            need.pods += 1;
        }
    }
    let mut one = Amount::default();
    for workload in release {
        let whole = workload.whole();
        need.cpu += whole.cpu;
        need.memory += whole.memory;
        need.pods += whole.pods;
        one = workload.one();
    }
    let more = *pick(rng, &[-1, 0, 0, 1, 1, 2]);
    let mut hard = json!({});
    match rng.u32(0..3) {
        0 => hard["pods"] = (need.pods + more).max(1).to_string().into(),
        1 => hard["requests.cpu"] = format!("{}m", (need.cpu + one.cpu * more).max(1)).into(),
        _ => {
            hard["requests.memory"] = format!("{}Mi", (need.memory + one.memory * more).max(1)).into();
            hard["pods"] = (need.pods + 2).to_string().into();
        }
    }
    let object = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": namespaces.app}, "spec": {"hard": hard},
    });
    api.create(&object).await?;
    let path = api.path(&object).await?;
    until("the quota is counted", || async {
        let live = api.get(&path).await.unwrap_or_default();
        live["status"]["hard"] == live["spec"]["hard"] && live["status"]["used"].is_object()
    })
    .await?;
    // The API server goes by it.
    let mut probe = probe(&namespaces.app);
    probe["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "10000", "memory": "10000Gi"});
    if hard["requests.cpu"].is_null() && hard["requests.memory"].is_null() {
        // One more pod is not always refused.
        return Ok(());
    }
    until("the quota counts", || async {
        api.dry_run(&probe).await.is_err_and(|error| error.message.contains("exceeded quota"))
    })
    .await
}

/// A LimitRange, and waits until it counts.
pub async fn limits(
    api: &Api,
    rng: &mut Rng,
    namespaces: &Namespaces,
    release: &[Workload],
) -> Result<(), Failed> {
    let one = release[0].one();
    let mut limit = json!({
        "type": "Container",
        "defaultRequest": {"cpu": "100m", "memory": "64Mi"},
        "default": {"cpu": "20", "memory": "64Gi"},
    });
    match rng.u32(0..6) {
        0 => limit["min"] = json!({"cpu": format!("{}m", (one.cpu + *pick(rng, &[0, 1])).clamp(1, 100))}),
        1 => limit["max"] = json!({"memory": "64Gi"}),
        2 => limit["maxLimitRequestRatio"] = json!({"cpu": "100"}),
        _ => {}
    }
    let object = json!({
        "apiVersion": "v1", "kind": "LimitRange",
        "metadata": {"name": "limits", "namespace": namespaces.app}, "spec": {"limits": [limit]},
    });
    api.create(&object).await?;
    let mut probe = probe(&namespaces.app);
    probe["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": "1Mi"}});
    until("the limits count", || async {
        match api.dry_run(&probe).await {
            Ok(pod) => pod["spec"]["containers"][0]["resources"]["requests"]["cpu"].is_string(),
            // It is refused by them, or by the quota that counts what they set.
            Err(error) => error.code == 403,
        }
    })
    .await
}

fn probe(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": crate::cluster::IMAGE, "resources": {}}]},
    })
}

/// What the scheduler says of a pod: nothing where it has bound it.
pub async fn answer(api: &Api, pod: &Value, patience: Duration) -> Result<Option<String>, Failed> {
    let path = api.path(pod).await?;
    let said = async || match api.get(&path).await {
        Ok(live) if is_bound(&live) => Some(Ok(None)),
        Ok(live) => unschedulable(&live).map(|message| Ok(Some(message.to_owned()))),
        Err(error) => Some(Err(error.into())),
    };
    let said = poll(patience, said).await;
    said.unwrap_or_else(|| Err(format!("the scheduler says nothing of {path}").into()))
}

/// What the scheduler says of a pod in the end: that it has a node, as soon as it has one, or what it says after so long.
pub async fn last_answer(api: &Api, pod: &Value, patience: Duration) -> Result<Option<String>, Failed> {
    let path = api.path(pod).await?;
    let mut last = None;
    let settled = async || match api.get(&path).await {
        Ok(live) if is_bound(&live) => Some(Ok(None)),
        Ok(live) => {
            last = unschedulable(&live).map(str::to_owned);
            None
        }
        Err(error) => Some(Err(error.into())),
    };
    let settled = poll(patience, settled).await;
    settled.unwrap_or(Ok(last))
}

fn is_bound(pod: &Value) -> bool {
    pod["spec"]["nodeName"].is_string()
}

pub async fn remove_pod(api: &Api, pod: &Value) -> Result<(), Failed> {
    let path = api.path(pod).await?;
    let _ = api.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    until("a pod goes", || async { api.get(&path).await.is_err() }).await
}

/// Removes the namespaces, and waits until no pod of theirs is left. In a namespace that goes no controller can make one.
pub async fn remove(api: &Api, namespaces: &Namespaces) -> Result<(), Failed> {
    for name in namespaces.all() {
        api.delete(&format!("/api/v1/namespaces/{name}")).await?;
    }
    let gone = |name: String| async move {
        let list = format!("/api/v1/namespaces/{name}/pods");
        let pods = api.items(&list).await;
        if pods.is_empty() {
            return true;
        }
        let _ = api.delete(&format!("{list}?gracePeriodSeconds=0")).await;
        for pod in pods.iter().filter(|pod| !pod["metadata"]["finalizers"].is_null()) {
            let path = format!("{list}/{}", pod["metadata"]["name"].as_str().unwrap_or_default());
            let _ = api.merge(&path, &json!({"metadata": {"finalizers": null}})).await;
        }
        false
    };
    for name in namespaces.all() {
        until("the pods go", || gone(name.clone())).await?;
    }
    Ok(())
}
