//! What the workloads of the release are to become, and the pods that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use preflight_core::Method;
use preflight_core::cluster::Listed;
use preflight_core::manifests::Object;
use preflight_core::release::{Live, Planned};
use serde_json::{Value, json};

use crate::capacity::admit::{Admitted, Refusal, Rules};
use crate::capacity::rollout::{Generation, Stage, fenceposts, share};
use crate::capacity::view::Pod;
use crate::changes::{self, Happens, merged};
use crate::labels::{Labels, is_added};

/// A workload of the release.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) object: Arc<Object>,
    pub(super) namespace: String,
    pub(super) kind: Kind,
    /// Its pods as the API server admits them.
    pub(super) pods: Admitted,
    /// Whether its template changes.
    pub(super) changes: Happens,
    /// Whether pods are made for it now.
    pub(super) makes: Happens,
    /// The pods that it has.
    pub(super) own: Vec<Own>,
    /// By how many of its pods an autoscaler will have at least, and at most.
    pub(super) scaled: Option<Scaled>,
    /// Names of the claim templates of a StatefulSet.
    pub(super) claims: Vec<String>,
}

/// What an autoscaler keeps a workload at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scaled {
    pub(super) by: String,
    pub(super) max: usize,
    /// Whether it will have more pods than the release says.
    pub(super) raises: bool,
}

/// A pod that a workload has.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) generation: Generation,
    pub(super) stage: Stage,
    pub(super) slot: Slot,
    pub(super) cost: i32,
    revision: String,
}

/// Where a pod belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Any,
    Ordinal(usize),
    Node(String),
}

/// What a kind of workload is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment { replicas: usize, rolling: Option<(String, String)>, before: Option<usize> },
    Fixed { replicas: usize },
    StatefulSet { start: usize, replicas: usize, ordered: bool, partition: usize, on_delete: bool },
    DaemonSet { surge: String, unavailable: String, on_delete: bool },
    Job { parallelism: usize, completions: usize },
    Pod,
}

impl Kind {
    /// How many pods there are to be, where that is a number.
    pub(super) const fn replicas(&self) -> Option<usize> {
        match self {
            Self::Deployment { replicas, .. }
            | Self::Fixed { replicas }
            | Self::StatefulSet { replicas, .. } => Some(*replicas),
            Self::Job { parallelism, .. } => Some(*parallelism),
            Self::Pod => Some(1),
            Self::DaemonSet { .. } => None,
        }
    }

    /// The same with another number of pods.
    pub(super) fn with_replicas(&self, to: usize) -> Self {
        let mut kind = self.clone();
        match &mut kind {
            Self::Deployment { replicas, .. }
            | Self::Fixed { replicas }
            | Self::StatefulSet { replicas, .. } => *replicas = to,
            _ => {}
        }
        kind
    }

    /// Surge and unavailable of a Deployment that rolls.
    pub(super) fn fenceposts(&self) -> Option<(usize, usize)> {
        let Self::Deployment { replicas, rolling: Some((surge, unavailable)), .. } = self else {
            return None;
        };
        fenceposts(Some(surge), Some(unavailable), *replicas)
    }
}

/// The template with what admission makes of its pods. The volumes of claim templates are looked at by themselves.
fn as_admitted(template: &Value, pod: &Value, claims: &Value, daemon: bool) -> Value {
    let written = &template["spec"];
    let mut template = template.clone();
    let mut spec = pod["spec"].clone();
    if daemon {
        // Its controller chooses the nodes, by the template.
        for key in ["affinity", "tolerations", "nodeSelector"] {
            spec[key] = written[key].clone();
        }
    }
    template["spec"] = spec;
    let claimed = |volume: &Value| {
        let mut names = claims.as_array().into_iter().flatten().map(|claim| &claim["metadata"]["name"]);
        names.any(|name| *name == volume["name"])
    };
    if let Some(volumes) = template["spec"]["volumes"].as_array_mut() {
        volumes.retain(|volume| !claimed(volume));
    }
    // What controllers add they add to every pod.
    for (key, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
        if !is_added(key) {
            template["metadata"]["labels"][key] = value.clone();
        }
    }
    template
}

/// What cannot be told of a workload.
pub(super) struct Unclear {
    pub(super) why: String,
    pub(super) advice: &'static str,
}

/// The workload that an object of the release is; `None` if it is none that makes pods now.
pub(super) fn wanted(
    planned: &Planned,
    method: Method,
    rules: &Rules,
    pods: &Listed<Pod>,
    scalers: &Scalers,
    admitted: Result<Option<&Value>, &str>,
) -> Result<Option<Wanted>, Unclear> {
    let object = &planned.object;
    // Those of a CronJob come later.
    if object.pod_template().is_none() || object.kind() == "CronJob" {
        return Ok(None);
    }
    if let Live::Unknown(error) = &planned.live {
        return Err(Unclear {
            why: format!("what is there of {} is not known: {error}", object.id()),
            advice: "grant get on it",
        });
    }
    if let (Live::Present(live), Method::Helm) = (&planned.live, method)
        && let Some(field) =
            kept_field(&live["spec"]["template"]["spec"], &planned.effective["spec"]["template"]["spec"])
    {
        return Err(Unclear {
            why: format!(
                "whether Helm takes {field} away from {} depends on the release before",
                object.id()
            ),
            advice: "write the field, if only as empty",
        });
    }
    let namespace = planned.namespace.clone().unwrap_or_default();
    let merged = merged(planned, method);
    let spec = &merged["spec"];
    let live = match &planned.live {
        Live::Present(live) => Some(&**live),
        _ => None,
    };
    let template = if object.kind() == "Pod" { &merged } else { &spec["template"] };
    let daemon = object.kind() == "DaemonSet";
    let admitted = admitted.map_err(|why| Unclear {
        why: format!("what pods {} makes is not known: {why}", object.id()),
        advice: "write into the manifest what is changed in it",
    })?;
    let changed = admitted.map(|pod| as_admitted(template, pod, &spec["volumeClaimTemplates"], daemon));
    let template = changed.as_ref().unwrap_or(template);
    let unreadable = |error: serde_json::Error| Unclear {
        why: format!("the pods of {} cannot be read: {error}", object.id()),
        advice: "the API server will say what is wrong with them",
    };
    let pods_wanted = rules.admit(&namespace, template, daemon).map_err(unreadable)?;
    let rollout = changes::rollout(planned, method);
    let scaler = scalers.of(&namespace, object.group(), object.kind(), object.display_name());
    let Some(kind) = kind_of(object.kind(), spec, live, scaler).ok_or_else(|| Unclear {
        why: format!("the strategy of {} cannot be read", object.id()),
        advice: "the API server will refuse it",
    })?
    else {
        return Ok(None);
    };
    let own = match live {
        Some(live) => {
            own_pods(object.kind(), object.display_name(), &namespace, live, rollout.template, pods)
        }
        None => Vec::new(),
    };
    let claims = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
    let claims = claims.filter_map(|claim| claim["metadata"]["name"].as_str().map(str::to_owned)).collect();
    let mut wanted = Wanted {
        object: Arc::clone(object),
        namespace,
        kind,
        pods: pods_wanted,
        changes: rollout.template,
        makes: rollout.pods,
        own,
        scaled: scaler.map(|scaler| Scaled {
            by: scaler.name.clone(),
            max: scaler.max,
            raises: spec["replicas"].as_u64().is_some_and(|written| written < scaler.min as u64),
        }),
        claims,
    };
    wanted.label(live);
    Ok(Some(wanted))
}

/// A field that decides about where pods go, and that is there and not written.
fn kept_field(there: &Value, written: &Value) -> Option<&'static str> {
    let fields = [
        "tolerations",
        "nodeSelector",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
        "runtimeClassName",
    ];
    fields.into_iter().find(|field| !there[*field].is_null() && written[*field].is_null())
}

impl Wanted {
    /// Puts in the labels that controllers give to their pods.
    fn label(&mut self, live: Option<&Value>) {
        let name = self.object.display_name();
        let of_own =
            self.own.iter().find(|own| own.generation == Generation::New).map(|own| own.revision.clone());
        let of_status = live.filter(|_| matches!(self.changes, Happens::No(_)));
        let of_status =
            of_status.and_then(|live| live["status"]["updateRevision"].as_str().map(str::to_owned));
        let revision = of_own.or(of_status).unwrap_or_else(|| "of-this-release".to_owned());
        let labels = &mut self.pods.labels;
        match self.kind {
            Kind::Deployment { .. } => {
                labels.insert("pod-template-hash".to_owned(), revision);
            }
            Kind::StatefulSet { .. } | Kind::DaemonSet { .. } => {
                labels.insert("controller-revision-hash".to_owned(), revision);
            }
            Kind::Job { .. } => {
                for key in ["job-name", "batch.kubernetes.io/job-name"] {
                    labels.insert(key.to_owned(), name.to_owned());
                }
            }
            _ => {}
        }
    }

    /// The same, to become something else.
    pub(super) fn with_kind(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
    }

    /// Why the API server refuses its pods.
    pub(super) fn refusals(&self) -> &[Refusal] {
        &self.pods.refusals
    }

    /// The labels by which the scheduler spreads its pods where they do not say how themselves.
    pub(super) fn spread_by(&self) -> Option<Labels> {
        matches!(self.kind, Kind::Deployment { .. } | Kind::StatefulSet { .. } | Kind::Fixed { .. })
            .then(|| self.pods.labels.clone())
    }
}

/// As many pods as are played through at most; Kubernetes supports 150,000 in a cluster.
const MOST: usize = 200_000;

/// The outer `None` says that it cannot be read, the inner one that it makes no pods.
#[expect(clippy::option_option, reason = "the two say different things")]
fn kind_of(kind: &str, spec: &Value, live: Option<&Value>, scaler: Option<&Scaler>) -> Option<Option<Kind>> {
    let number = |value: &Value| {
        value.as_u64().and_then(|number| usize::try_from(number).ok()).map(|number| number.min(MOST))
    };
    let replicas = number(&spec["replicas"]).unwrap_or(1);
    let replicas = match scaler {
        // Zero switches the autoscaler off.
        Some(scaler) if replicas > 0 => replicas.clamp(scaler.min, scaler.max.max(scaler.min)),
        _ => replicas,
    };
    let text = |value: &Value, default: &str| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => default.to_owned(),
    };
    Some(Some(match kind {
        "Deployment" => {
            let strategy = &spec["strategy"];
            let rolling = (strategy["type"] != "Recreate").then(|| {
                let bounds = &strategy["rollingUpdate"];
                (text(&bounds["maxSurge"], "25%"), text(&bounds["maxUnavailable"], "25%"))
            });
            let before = live.map(|live| number(&live["spec"]["replicas"]).unwrap_or(1));
            let kind = Kind::Deployment { replicas, rolling, before };
            if spec["paused"] == true {
                // It does not roll, and brings what is there to another number all the same.
                return Some(live.map(|_| Kind::Fixed { replicas }));
            }
            if matches!(&kind, Kind::Deployment { rolling: Some(_), .. }) {
                kind.fenceposts()?;
            }
            kind
        }
        "ReplicaSet" | "ReplicationController" => Kind::Fixed { replicas },
        "StatefulSet" => Kind::StatefulSet {
            start: number(&spec["ordinals"]["start"]).unwrap_or(0),
            replicas,
            ordered: spec["podManagementPolicy"] != "Parallel",
            partition: number(&spec["updateStrategy"]["rollingUpdate"]["partition"]).unwrap_or(0),
            on_delete: spec["updateStrategy"]["type"] == "OnDelete",
        },
        "DaemonSet" => {
            let bounds = &spec["updateStrategy"]["rollingUpdate"];
            let (surge, unavailable) = (text(&bounds["maxSurge"], "0"), text(&bounds["maxUnavailable"], "1"));
            share(&surge, 1, true)?;
            share(&unavailable, 1, true)?;
            Kind::DaemonSet { surge, unavailable, on_delete: spec["updateStrategy"]["type"] == "OnDelete" }
        }
        "Job" => {
            if spec["suspend"] == true {
                return Some(None);
            }
            // One that is there keeps its template; it makes pods only where it is let go on, or may have more at once.
            if let Some(live) = live {
                let ended = live["status"]["completionTime"].is_string()
                    || live["status"]["failed"].as_i64() > Some(0);
                let more = live["spec"]["suspend"] == true
                    || number(&spec["parallelism"]) > number(&live["spec"]["parallelism"]);
                if ended || !more {
                    return Some(None);
                }
            }
            let parallelism = number(&spec["parallelism"]).unwrap_or(1);
            let completions = number(&spec["completions"]).unwrap_or(parallelism);
            Kind::Job { parallelism: parallelism.min(completions), completions }
        }
        _ => Kind::Pod,
    }))
}

/// The pods that a workload has. Which of them are of its present template is told by the revision that its status names,
/// and for a Deployment by which of its ReplicaSets made the newest pod.
fn own_pods(
    kind: &str,
    name: &str,
    namespace: &str,
    live: &Value,
    changes: Happens,
    pods: &Listed<Pod>,
) -> Vec<Own> {
    let is_it = |at: &str, called: &str, pod: &Pod| {
        at == namespace
            && if kind == "Pod" {
                called == name
            } else {
                pod.is_made_by(kind, name) && !pod.has_ended() && !pod.is_terminating()
            }
    };
    let all: Vec<(&str, &Pod)> = pods
        .iter()
        .filter(|(at, called, pod)| is_it(at, called, pod))
        .map(|(_, called, pod)| (called, pod))
        .collect();
    let current = current_revision(kind, live, &all);
    all.into_iter()
        .map(|(called, pod)| {
            // These leave their pods as they are, whatever becomes of the template.
            let fixed = matches!(kind, "ReplicaSet" | "ReplicationController");
            let same = fixed
                || live["spec"]["paused"] == true
                || matches!(changes, Happens::No(_))
                    && (kind == "Pod" || current.as_deref().is_none_or(|current| revision(pod) == current));
            let stage = match (pod.spec.node_name.is_empty(), pod.is_ready()) {
                (true, _) => Stage::Pending,
                // What keeps a pod of the present template from getting ready is not a question of room.
                (false, ready) => {
                    if ready || same {
                        Stage::Ready
                    } else {
                        Stage::Unready
                    }
                }
            };
            let slot = match kind {
                "StatefulSet" => called
                    .rsplit_once('-')
                    .and_then(|(_, ordinal)| ordinal.parse().ok())
                    .map_or(Slot::Any, Slot::Ordinal),
                "DaemonSet" => Slot::Node(node_of_daemon(pod)),
                _ => Slot::Any,
            };
            Own {
                namespace: namespace.to_owned(),
                name: called.to_owned(),
                generation: if same { Generation::New } else { Generation::Old },
                stage: if pod.has_ended() { Stage::Done } else { stage },
                slot,
                cost: pod.metadata.deletion_cost(),
                revision: revision(pod).to_owned(),
            }
        })
        .collect()
}

fn revision(pod: &Pod) -> &str {
    let labels = &pod.metadata.labels;
    labels
        .get("controller-revision-hash")
        .or_else(|| labels.get("pod-template-hash"))
        .map_or("", String::as_str)
}

/// The revision of the present template; `None` where every pod is of it.
fn current_revision(kind: &str, live: &Value, pods: &[(&str, &Pod)]) -> Option<String> {
    match kind {
        "StatefulSet" => live["status"]["updateRevision"].as_str().map(str::to_owned),
        "Deployment" | "DaemonSet" => {
            let newest = pods.iter().max_by_key(|(_, pod)| pod.metadata.creation_timestamp.clone())?;
            let field = if kind == "Deployment" { "updatedReplicas" } else { "updatedNumberScheduled" };
            let updated = live["status"][field].as_u64().unwrap_or(0);
            let of_newest = pods.iter().filter(|(_, pod)| revision(pod) == revision(newest.1)).count() as u64;
            // None of them is of the present template where the status counts none.
            Some(if updated == 0 && of_newest > 0 { String::new() } else { revision(newest.1).to_owned() })
        }
        _ => None,
    }
}

/// The node that a DaemonSet's pod is on, or is to be on.
pub(super) fn node_of_daemon(pod: &Pod) -> String {
    if !pod.spec.node_name.is_empty() {
        return pod.spec.node_name.clone();
    }
    let terms = pod.spec.affinity.node_affinity.required.iter().flat_map(|terms| &terms.node_selector_terms);
    let named = terms.flat_map(|term| &term.match_fields).find_map(|field| field["values"][0].as_str());
    named.unwrap_or_default().to_owned()
}

/// An autoscaler.
#[derive(Debug, Clone)]
pub(super) struct Scaler {
    name: String,
    min: usize,
    max: usize,
}

/// Autoscalers, by namespace, group, kind and name of what they scale.
#[derive(Debug, Default)]
pub(super) struct Scalers(BTreeMap<(String, String, String, String), Scaler>);

impl Scalers {
    /// Whether there are any in these namespaces.
    pub(super) fn are_in(&self, namespaces: &BTreeSet<String>) -> bool {
        self.0.keys().any(|(namespace, ..)| namespaces.contains(namespace))
    }

    /// Adds one; the last one of a target counts.
    pub(super) fn add(&mut self, namespace: &str, name: &str, object: &Value) {
        let spec = &object["spec"];
        let target = &spec["scaleTargetRef"];
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        let version = text("apiVersion");
        let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let number = |key: &str, default: usize| {
            spec[key].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
        };
        let scaler =
            Scaler { name: name.to_owned(), min: number("minReplicas", 1), max: number("maxReplicas", 1) };
        self.0.insert((namespace.to_owned(), group, text("kind"), text("name")), scaler);
    }

    fn of(&self, namespace: &str, group: &str, kind: &str, name: &str) -> Option<&Scaler> {
        self.0.get(&(namespace.to_owned(), group.to_owned(), kind.to_owned(), name.to_owned()))
    }
}

/// The selector of pods with these labels.
pub(super) fn equal(labels: &Labels) -> Value {
    json!({"matchLabels": labels})
}
