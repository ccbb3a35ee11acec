//! Applying a release, and whether it lands. That it does not is said only when nobody has anything left to do: the
//! scheduler's queues hold nothing but pods that it has found no node for, no pod is going or starting, nothing has
//! changed for a while, and what a quota kept back would be kept back still.

use std::time::{Duration, Instant};

use preflight_harness::{Api, ControlPlane};
use serde_json::{Value, json};

/// How often everything is looked at.
const BEAT: Duration = Duration::from_millis(100);
/// How long nothing may change before controllers count as idle. They answer to events at once.
const QUIET: Duration = Duration::from_millis(1500);
/// How much longer for Jobs, whose controller gathers events for a second.
const GATHERING: Duration = Duration::from_secs(1);
/// How often controllers that were refused a pod are made to ask again.
const NUDGES: usize = 40;
/// How long a release may go on changing.
const PATIENCE: Duration = Duration::from_secs(240);
const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What became of a release.
#[derive(Debug, Clone)]
pub struct Landing {
    pub landed: bool,
    /// What has not landed, and what the scheduler and the controllers say.
    pub why: Vec<String>,
}

/// Applies one object as `kubectl apply` does: what was applied before and is not any more is removed.
pub async fn apply(api: &Api, object: &Value) -> Result<(), String> {
    let text = format!("{object}\n");
    let mut object = object.clone();
    object["metadata"]["annotations"] = json!({LAST: text});
    let path = api.path(&object).await.map_err(|error| error.to_string())?;
    let done = match api.get(&path).await {
        Ok(live) => {
            let before = live["metadata"]["annotations"][LAST].as_str().unwrap_or("{}");
            if before == text {
                return Ok(());
            }
            let before: Value = serde_json::from_str(before).map_err(|error| error.to_string())?;
            remove_missing(&before, &mut object);
            // It has the patch strategy `retainKeys`.
            if object["spec"]["strategy"]["type"] == "Recreate" {
                object["spec"]["strategy"]["rollingUpdate"] = Value::Null;
            }
            api.merge(&format!("{path}?fieldValidation=Strict"), &object).await
        }
        Err(_) => api.create(&object).await,
    };
    done.map(drop).map_err(|error| format!("{} is refused: {error}", object["kind"]))
}

fn remove_missing(before: &Value, now: &mut Value) {
    let (Some(before), Some(now)) = (before.as_object(), now.as_object_mut()) else { return };
    for (key, value) in before {
        match now.get_mut(key) {
            Some(now) => remove_missing(value, now),
            None => {
                now.insert(key.clone(), Value::Null);
            }
        }
    }
}

/// What is looked at again and again.
struct Seen {
    workloads: Vec<Value>,
    pods: Vec<Value>,
    others: Vec<Value>,
}

impl Seen {
    async fn look(api: &Api, release: &[Value], namespaces: &[String]) -> Self {
        let mut workloads = Vec::new();
        for object in release {
            let live = match api.path(object).await {
                Ok(path) => api.get(&path).await.unwrap_or_default(),
                Err(_) => Value::Null,
            };
            workloads.push(live);
        }
        let (mut pods, mut others) = (Vec::new(), Vec::new());
        for namespace in namespaces {
            pods.extend(api.items(&format!("/api/v1/namespaces/{namespace}/pods")).await);
        }
        for list in ["/apis/apps/v1/namespaces/NS/replicasets", "/api/v1/namespaces/NS/resourcequotas"] {
            others.extend(api.items(&list.replace("NS", &namespaces[0])).await);
        }
        Self { workloads, pods, others }
    }

    /// What changes with every change.
    fn signature(&self) -> Vec<String> {
        let all = self.workloads.iter().chain(&self.pods).chain(&self.others);
        all.map(|one| format!("{} {}", text(one, "/metadata/uid"), text(one, "/metadata/resourceVersion")))
            .collect()
    }

    /// Pods that no node was found for, if there is nothing else that pods wait for.
    fn pending(&self) -> Option<Vec<&Value>> {
        let mut pending = Vec::new();
        for pod in &self.pods {
            if !text(pod, "/metadata/deletionTimestamp").is_empty() {
                return None;
            }
            if !text(pod, "/spec/nodeName").is_empty() {
                if !matches!(text(pod, "/status/phase"), "Running" | "Succeeded") {
                    return None;
                }
            } else if unschedulable(pod).is_some() {
                pending.push(pod);
            } else {
                return None;
            }
        }
        Some(pending)
    }

    fn missing(&self, release: &[Value]) -> Vec<String> {
        let all = release.iter().zip(&self.workloads);
        all.filter_map(|(object, live)| {
            Some(format!("{} {}: {}", text(object, "/kind"), text(object, "/metadata/name"), missing(live)?))
        })
        .collect()
    }

    /// Has the controllers look again at what they make pods for.
    async fn nudge(&self, api: &Api) {
        let now = format!("{:?}", Instant::now());
        let mut paths = Vec::new();
        for object in &self.workloads {
            paths.extend(api.path(object).await.ok());
        }
        // Items of lists do not say what they are; ReplicaSets have a template, and quotas have none.
        for set in self.others.iter().filter(|one| one["spec"]["template"].is_object()) {
            let (namespace, name) = (text(set, "/metadata/namespace"), text(set, "/metadata/name"));
            paths.push(format!("/apis/apps/v1/namespaces/{namespace}/replicasets/{name}"));
        }
        for path in paths {
            // It may have gone.
            let _ = api.merge(&path, &json!({"metadata": {"annotations": {"harness/nudge": now}}})).await;
        }
    }

    /// Pods of workloads that have fewer than they are to have, though none of theirs is pending.
    fn kept_back(&self) -> Vec<Value> {
        let mut kept_back = Vec::new();
        for live in &self.workloads {
            let uid = text(live, "/metadata/uid");
            let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
            let own = |object: &Value| {
                object["metadata"]["ownerReferences"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|o| o["uid"] == uid)
            };
            let pods: Vec<_> = self.pods.iter().filter(|pod| own(pod)).collect();
            let placed = pods.iter().all(|pod| !text(pod, "/spec/nodeName").is_empty());
            let count = i64::try_from(pods.len()).unwrap_or(0);
            let short = match live["kind"].as_str() {
                Some("Deployment") => self.others.iter().filter(|set| own(set)).any(|set| {
                    set["status"]["conditions"].as_array().into_iter().flatten().any(|condition| {
                        condition["type"] == "ReplicaFailure" && condition["status"] == "True"
                    })
                }),
                Some("StatefulSet") => placed && count < number("/spec/replicas"),
                Some("DaemonSet") => count < number("/status/desiredNumberScheduled"),
                Some("Job") => placed && number("/status/succeeded") < number("/spec/completions"),
                _ => false,
            };
            if short {
                let mut pod = live["spec"]["template"].clone();
                pod["apiVersion"] = "v1".into();
                pod["kind"] = "Pod".into();
                pod["metadata"]["name"] = "probe".into();
                pod["metadata"]["namespace"] = live["metadata"]["namespace"].clone();
                kept_back.push(pod);
            }
        }
        kept_back
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What the scheduler says of a pod that it finds no node for.
pub fn unschedulable(pod: &Value) -> Option<&str> {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut found =
        conditions.filter(|one| one["type"] == "PodScheduled" && one["reason"] == "Unschedulable");
    found.next().and_then(|condition| condition["message"].as_str())
}

/// What keeps a workload from having landed. As `kubectl rollout status`.
fn missing(live: &Value) -> Option<String> {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let count = |key: &str| number(&format!("/status/{key}"));
    let is_true = |kind: &str| {
        let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == kind && one["status"] == "True")
    };
    let observed = count("observedGeneration") >= number("/metadata/generation");
    let wanted = number("/spec/replicas");
    let short = |ready: i64, wanted: i64| {
        (!observed || ready < wanted).then(|| format!("{ready} of {wanted} are up to date and ready"))
    };
    match live["kind"].as_str() {
        Some("Deployment") => {
            let surplus = count("replicas") > count("updatedReplicas");
            short(count("updatedReplicas").min(count("availableReplicas")), wanted)
                .or_else(|| surplus.then(|| "old pods are still there".to_owned()))
        }
        Some("StatefulSet") => {
            let partition = number("/spec/updateStrategy/rollingUpdate/partition");
            short(count("readyReplicas"), wanted)
                .or_else(|| short(count("updatedReplicas"), (wanted - partition).max(0)))
        }
        Some("DaemonSet") => short(
            count("updatedNumberScheduled").min(count("numberAvailable")),
            count("desiredNumberScheduled"),
        ),
        Some("Job") => (!is_true("Complete")).then(|| "it is not complete".to_owned()),
        Some("Pod") => {
            let done = is_true("Ready") || live["status"]["phase"] == "Succeeded";
            (!done).then(|| "it is not ready".to_owned())
        }
        _ => Some("it is not there".to_owned()),
    }
}

/// Pods in the scheduler's queues: those that wait to be tried, and those that were tried in vain.
async fn queues(plane: &ControlPlane) -> Option<(usize, usize)> {
    let metrics = plane.scheduler()?.text("/metrics").await.ok()?;
    let (mut waiting, mut unschedulable) = (0, 0);
    for line in metrics.lines().filter(|line| line.starts_with("scheduler_pending_pods{")) {
        let count = line.rsplit(' ').next()?.parse::<f64>().ok()?;
        let count = format!("{count:.0}").parse::<usize>().ok()?;
        if line.contains("\"unschedulable\"") { unschedulable += count } else { waiting += count }
    }
    Some((waiting, unschedulable))
}

/// Waits until the release in the first of the namespaces has landed, or will not. For `extra` longer, it is not
/// believed that it will not.
pub async fn settle(
    plane: &ControlPlane,
    release: &[Value],
    namespaces: &[String],
    extra: Duration,
) -> Result<Landing, String> {
    let (start, mut since) = (Instant::now(), Instant::now());
    let gathers = release.iter().any(|object| object["kind"] == "Job");
    let quiet = QUIET + extra + if gathers { GATHERING } else { Duration::ZERO };
    let (mut before, mut nudges) = (Vec::new(), 0);
    loop {
        let seen = Seen::look(plane.api(), release, namespaces).await;
        let open = seen.missing(release);
        if open.is_empty() {
            return Ok(Landing { landed: true, why: open });
        }
        let signature = seen.signature();
        if signature != before {
            (before, since) = (signature, Instant::now());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("nothing came of it: {open:?}"));
        }
        if since.elapsed() > quiet.min(QUIET + GATHERING)
            && let Some(pending) = seen.pending()
            && queues(plane).await == Some((0, pending.len()))
        {
            let mut why = open;
            why.extend(pending.iter().map(|pod| {
                format!("{}: {}", text(pod, "/metadata/name"), unschedulable(pod).unwrap_or_default())
            }));
            let mut may_come = false;
            for pod in seen.kept_back() {
                match plane.api().dry_run(&pod).await {
                    Ok(_) => may_come = true,
                    Err(error) => why.push(error.to_string()),
                }
            }
            if may_come && nudges < NUDGES {
                // Whoever was refused waits longer each time; another look at it is the same, only sooner.
                nudges += 1;
                seen.nudge(plane.api()).await;
            } else if since.elapsed() > quiet {
                return Ok(Landing { landed: false, why });
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}
