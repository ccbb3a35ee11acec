//! Random releases, near the edge of what the nodes have room for.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::{APPS, Amount, GPU, HOSTNAME, IMAGE, Node, PORTS, ROLES, ZONE, pick};

/// What a case has, for the figures.
pub type Tags = BTreeSet<&'static str>;

/// What a release is made for.
pub struct World<'a> {
    pub nodes: &'a [Node],
    /// What is free on each.
    pub room: &'a [Amount],
    /// The namespace of the release.
    pub namespace: &'a str,
    /// Whether pods may have priorities.
    pub priorities: bool,
    /// Whether what is released is to land, more often than not.
    pub gentle: bool,
}

/// A Deployment, StatefulSet, DaemonSet, Job or Pod, in parts that can be changed one by one.
#[derive(Debug, Clone)]
pub struct Workload {
    pub kind: &'static str,
    pub name: String,
    /// Pods that are wanted; those at once of a Job.
    replicas: i64,
    /// Fields of the specification beside the replicas, the selector and the template.
    fields: Value,
    labels: Value,
    spec: Value,
    need: Amount,
    /// Places of the nodes that it may run on, as far as that is easily told.
    eligible: Vec<usize>,
}

impl Workload {
    pub fn object(&self, namespace: &str) -> Value {
        let metadata = json!({"name": self.name, "namespace": namespace});
        let template = json!({"metadata": {"labels": self.labels}, "spec": self.spec});
        let (api_version, mut spec) = match self.kind {
            "Pod" => {
                return json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": self.name, "namespace": namespace, "labels": self.labels},
                    "spec": self.spec,
                });
            }
            "Job" => ("batch/v1", json!({"parallelism": self.replicas})),
            "DaemonSet" => ("apps/v1", json!({})),
            _ => ("apps/v1", json!({"replicas": self.replicas})),
        };
        spec["template"] = template;
        if self.kind != "Job" {
            spec["selector"] = json!({"matchLabels": {"app": self.name}});
        }
        for (key, value) in self.fields.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({"apiVersion": api_version, "kind": self.kind, "metadata": metadata, "spec": spec})
    }

    /// All its pods use a claim.
    pub fn use_claim(&mut self, name: &str) {
        self.spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
    }

    /// Each of its pods has a claim of its own.
    pub fn template_claim(&mut self, name: &str, spec: Value) {
        self.fields["volumeClaimTemplates"] = json!([{"metadata": {"name": name}, "spec": spec}]);
    }

    /// What its pods ask for, all together.
    pub fn whole(&self) -> Amount {
        let count = match self.kind {
            "DaemonSet" => i64::try_from(self.eligible.len()).unwrap_or(0),
            _ => self.replicas,
        };
        let need = self.need;
        Amount { cpu: need.cpu * count, memory: need.memory * count, pods: count, ..Amount::default() }
    }

    pub const fn one(&self) -> Amount {
        self.need
    }
}

/// One to three workloads.
pub fn workloads(rng: &mut Rng, world: &World, tags: &mut Tags) -> Vec<Workload> {
    let count = *pick(rng, &[1, 1, 1, 1, 1, 2, 2, 3]);
    let mut room = world.room.to_vec();
    let mut all = Vec::new();
    for at in 0..count {
        let workload = workload(rng, &World { room: &room, ..*world }, &format!("w{at}"), count == 1, tags);
        // The next one finds less room, by and large.
        for place in workload.eligible.iter().take(usize::try_from(workload.replicas).unwrap_or(0)) {
            room[*place].take(workload.need);
        }
        all.push(workload);
    }
    all
}

fn workload(rng: &mut Rng, world: &World, name: &str, alone: bool, tags: &mut Tags) -> Workload {
    let kind = match rng.u32(0..100) {
        0..40 => "Deployment",
        40..60 => "StatefulSet",
        60..75 => "DaemonSet",
        75..85 => "Job",
        _ => "Pod",
    };
    let mut workload = Workload {
        kind,
        name: name.to_owned(),
        replicas: 1,
        fields: json!({}),
        labels: json!({"app": name, "role": *pick(rng, &ROLES)}),
        spec: json!({"terminationGracePeriodSeconds": 0}),
        need: Amount { pods: 1, ..Amount::default() },
        eligible: Vec::new(),
    };
    fields(rng, &mut workload);
    choose_nodes(rng, world, &mut workload, tags);
    while world.gentle && workload.eligible.is_empty() {
        workload.spec = json!({"terminationGracePeriodSeconds": 0});
        fields(rng, &mut workload);
        choose_nodes(rng, world, &mut workload, tags);
    }
    if rng.u32(0..10) < if world.gentle { 2 } else { 4 } {
        let own = workload.name.clone();
        choose_neighbours(rng, world, &mut workload, &own, tags);
    }
    resources(rng, world, &mut workload, tags);
    replicas(rng, world, &mut workload, alone);
    if world.priorities && rng.u32(0..3) > 0 {
        workload.spec["priorityClassName"] = (*pick(rng, &["high", "high", "low"])).into();
    }
    workload
}

fn fields(rng: &mut Rng, workload: &mut Workload) {
    let share = |rng: &mut Rng, least: i64| match rng.u32(0..3) {
        0 => json!(format!("{}%", rng.i64(least.max(1)..=60))),
        _ => json!(rng.i64(least..=2)),
    };
    workload.fields = match workload.kind {
        "Deployment" if rng.u32(0..5) == 0 => json!({"strategy": {"type": "Recreate"}}),
        "Deployment" if rng.bool() => {
            let surge = share(rng, 0);
            let unavailable = share(rng, i64::from(surge == json!(0)));
            json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}})
        }
        "StatefulSet" => {
            let policy = *pick(rng, &["OrderedReady", "Parallel"]);
            let mut fields = json!({"serviceName": workload.name, "podManagementPolicy": policy});
            if rng.u32(0..4) == 0 {
                fields["updateStrategy"] = json!({"rollingUpdate": {"partition": rng.i64(1..=2)}});
            }
            fields
        }
        "DaemonSet" => match rng.u32(0..3) {
            0 => json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": share(rng, 1)}}}),
            1 => {
                json!({"updateStrategy": {"rollingUpdate": {"maxSurge": share(rng, 1), "maxUnavailable": 0}}})
            }
            _ => json!({}),
        },
        "Job" => json!({"completions": rng.i64(1..=5)}),
        _ => json!({}),
    };
    match workload.kind {
        "Job" => workload.spec["restartPolicy"] = "Never".into(),
        "Pod" if rng.u32(0..4) == 0 => workload.spec["restartPolicy"] = "Never".into(),
        _ => {}
    }
}

/// Tolerations, selectors and affinities to nodes.
fn choose_nodes(rng: &mut Rng, world: &World, workload: &mut Workload, tags: &mut Tags) {
    let tolerations = match rng.u32(0..12) {
        0 => json!([{"operator": "Exists"}]),
        1 => {
            json!([{"key": "dedicated", "operator": "Equal", "value": *pick(rng, &["batch", "web"]), "effect": "NoSchedule"}])
        }
        2 => json!([{"key": "dedicated", "operator": "Exists"}, {"key": "special", "operator": "Exists"}]),
        3 => {
            json!([{"key": "special", "operator": "Exists", "effect": "NoExecute"}, {"key": "spot", "value": "true"}])
        }
        4 => {
            json!([{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}])
        }
        _ => json!([]),
    };
    if tolerations != json!([]) {
        tags.insert("tolerations");
    }
    let daemon = workload.kind == "DaemonSet";
    workload.eligible = (0..world.nodes.len())
        .filter(|at| {
            world.nodes[*at].taints.iter().all(|taint| {
                taint.effect == "PreferNoSchedule"
                    || daemon && taint.key.ends_with("/unschedulable")
                    || tolerations.as_array().into_iter().flatten().any(|one| {
                        let any = one["operator"] == "Exists";
                        (one["key"].is_null() || one["key"] == taint.key)
                            && (any || one["value"].as_str() == taint.value.as_deref())
                    })
            })
        })
        .collect();
    workload.spec["tolerations"] = tolerations;
    if rng.u32(0..6) == 0 {
        tags.insert("nodeSelector");
        let (key, value) = any_label(rng, world);
        workload.eligible.retain(|at| world.nodes[*at].labels.get(&key) == Some(&value));
        workload.spec["nodeSelector"] = json!({key: value});
    }
    if rng.u32(0..5) == 0 {
        tags.insert("nodeAffinity");
        let terms: Vec<_> = (0..rng.usize(1..=2)).map(|_| node_term(rng, world)).collect();
        workload.eligible.retain(|at| terms.iter().any(|term| matches(&world.nodes[*at], term)));
        workload.spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": terms});
    }
    if rng.u32(0..20) == 0 {
        workload.spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = json!([{
            "weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]);
    }
}

fn any_label(rng: &mut Rng, world: &World) -> (String, String) {
    let key = *pick(rng, &["disk", "disk", "tier", ZONE, HOSTNAME, "generation"]);
    let value = pick(rng, world.nodes).labels.get(key).cloned();
    // Rarely one that no node has.
    (key.to_owned(), value.filter(|_| rng.u32(0..12) > 0).unwrap_or_else(|| "none".to_owned()))
}

fn node_term(rng: &mut Rng, world: &World) -> Value {
    if rng.u32(0..6) == 0 {
        let name = &pick(rng, world.nodes).name;
        let operator = *pick(rng, &["In", "NotIn"]);
        return json!({"matchFields": [{"key": "metadata.name", "operator": operator, "values": [name]}]});
    }
    let expressions: Vec<_> = (0..rng.usize(1..=2))
        .map(|_| match rng.u32(0..6) {
            0 | 1 => {
                let (key, value) = any_label(rng, world);
                let other = pick(rng, world.nodes).labels.get(&key).cloned().unwrap_or_else(|| value.clone());
                json!({"key": key, "operator": "In", "values": [value, other]})
            }
            2 => {
                let (key, value) = any_label(rng, world);
                json!({"key": key, "operator": "NotIn", "values": [value]})
            }
            3 => json!({"key": *pick(rng, &["tier", ZONE]), "operator": "Exists"}),
            4 => json!({"key": *pick(rng, &["tier", ZONE]), "operator": "DoesNotExist"}),
            _ => json!({"key": *pick(rng, &["generation", "generation", "disk"]), "operator": *pick(rng, &["Gt", "Lt"]), "values": [rng.u32(0..5).to_string()]}),
        })
        .collect();
    json!({"matchExpressions": expressions})
}

fn matches(node: &Node, term: &Value) -> bool {
    let all = |key: &str| term[key].as_array().cloned().unwrap_or_default();
    let fields = all("matchFields").iter().all(|one| {
        let named = one["values"][0] == node.name;
        if one["operator"] == "In" { named } else { !named }
    });
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    fields
        && all("matchExpressions").iter().all(|one| {
            let label = one["key"].as_str().and_then(|key| node.labels.get(key));
            let listed =
                |label: &String| one["values"].as_array().into_iter().flatten().any(|value| value == label);
            match one["operator"].as_str() {
                Some("In") => label.is_some_and(listed),
                Some("NotIn") => !label.is_some_and(listed),
                Some("Exists") => label.is_some(),
                Some("DoesNotExist") => label.is_none(),
                Some("Gt") => label
                    .and_then(|label| label.parse::<i64>().ok())
                    .is_some_and(|is| is > number(&one["values"][0])),
                _ => label
                    .and_then(|label| label.parse::<i64>().ok())
                    .is_some_and(|is| is < number(&one["values"][0])),
            }
        })
}

/// Affinities to pods, and how they are to be spread.
fn choose_neighbours(rng: &mut Rng, world: &World, workload: &mut Workload, own: &str, tags: &mut Tags) {
    let own = json!({"matchLabels": {"app": own}});
    if rng.u32(0..5) < 2 {
        tags.insert("podAntiAffinity");
        let selector = match rng.u32(0..6) {
            0 => json!({"matchLabels": {"app": *pick(rng, &APPS)}}),
            1 => {
                json!({"matchExpressions": [{"key": "role", "operator": "In", "values": [*pick(rng, &ROLES)]}]})
            }
            _ => own.clone(),
        };
        let term = pod_term(rng, world, &selector, 4);
        workload.spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!([term]);
    }
    if rng.u32(0..5) == 0 {
        tags.insert("podAffinity");
        let selector = match rng.u32(0..3) {
            0 => own.clone(),
            _ => json!({"matchLabels": {"app": *pick(rng, &APPS)}}),
        };
        let term = pod_term(rng, world, &selector, 2);
        workload.spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!([term]);
    }
    if rng.u32(0..5) < 2 {
        tags.insert("spread");
        let constraints: Vec<_> =
            (0..*pick(rng, &[1, 1, 2])).map(|at| constraint(rng, workload, &own, at)).collect();
        workload.spec["topologySpreadConstraints"] = json!(constraints);
    }
}

/// A term whose topology is a host in so many of five cases.
fn pod_term(rng: &mut Rng, world: &World, selector: &Value, hosts: u32) -> Value {
    let key = if rng.u32(0..5) < hosts { HOSTNAME } else { ZONE };
    let mut term = json!({"topologyKey": key, "labelSelector": selector});
    match rng.u32(0..6) {
        0 => term["namespaceSelector"] = json!({}),
        1 => term["namespaceSelector"] = json!({"matchLabels": {"purpose": "fill"}}),
        2 => term["namespaces"] = json!([world.namespace, world.namespace.replace("-app", "-fill")]),
        _ => {}
    }
    term
}

fn constraint(rng: &mut Rng, workload: &Workload, own: &Value, at: usize) -> Value {
    let key = match (at, rng.bool()) {
        (0, true) => ZONE,
        (0, false) => HOSTNAME,
        (_, true) => "disk",
        (_, false) => "tier",
    };
    let mut constraint = json!({
        "maxSkew": rng.i64(1..=2), "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": own,
    });
    if rng.u32(0..4) == 0 {
        constraint["minDomains"] = rng.i64(1..=4).into();
    }
    if rng.u32(0..3) == 0 {
        constraint["nodeAffinityPolicy"] = (*pick(rng, &["Honor", "Ignore"])).into();
    }
    if rng.u32(0..3) == 0 {
        constraint["nodeTaintsPolicy"] = (*pick(rng, &["Honor", "Ignore"])).into();
    }
    let revision = match workload.kind {
        "Deployment" => Some("pod-template-hash"),
        "StatefulSet" => Some("controller-revision-hash"),
        _ => None,
    };
    if let Some(revision) = revision.filter(|_| rng.u32(0..4) == 0) {
        constraint["matchLabelKeys"] = json!([revision]);
    }
    if rng.u32(0..8) == 0 {
        constraint["whenUnsatisfiable"] = "ScheduleAnyway".into();
        if let Some(fields) = constraint.as_object_mut() {
            fields.remove("minDomains");
        }
    }
    constraint
}

/// What a pod asks for: on one of the nodes it fits a few times, exactly or nearly so.
fn resources(rng: &mut Rng, world: &World, workload: &mut Workload, tags: &mut Tags) {
    let everywhere: Vec<_> = (0..world.nodes.len()).collect();
    let places = if workload.eligible.is_empty() { &everywhere } else { &workload.eligible };
    let mut room = world.room[*pick(rng, places)];
    if workload.kind == "DaemonSet" && rng.u32(0..4) > 0 {
        // It has to fit everywhere.
        room.cpu = places.iter().map(|at| world.room[*at].cpu).min().unwrap_or(0);
        room.memory = places.iter().map(|at| world.room[*at].memory).min().unwrap_or(0);
    }
    let parts = if world.gentle { 3..=8 } else { 1..=3 };
    let near = |rng: &mut Rng, free: i64, step: i64| {
        (free / rng.i64(parts.clone()) + *pick(rng, &[0, 0, -step, -step * 2, 1])).max(step / 5)
    };
    let mut need =
        Amount { pods: 1, cpu: rng.i64(1..=5) * 50, memory: rng.i64(1..=4) * 32, ..Amount::default() };
    if rng.u32(0..4) > 0 {
        need.cpu = near(rng, room.cpu, 50);
    }
    if rng.u32(0..4) == 0 {
        need.memory = near(rng, room.memory, 64);
    }
    if rng.u32(0..10) == 0 {
        tags.insert("storage");
        need.storage = near(rng, room.storage, 100);
    }
    if world.nodes.iter().any(|node| node.room.gpu > 0) && rng.u32(0..10) == 0 {
        tags.insert("gpu");
        need.gpu = rng.i64(1..=2);
    }
    set_resources(rng, workload, need, tags);
}

fn set_resources(rng: &mut Rng, workload: &mut Workload, need: Amount, tags: &mut Tags) {
    workload.need = need;
    let (mut own, mut before) = (need, Vec::new());
    match rng.u32(0..20) {
        0 | 1 => {
            tags.insert("init containers");
            // It asks for as much as the pod, and the pod for half of that.
            let need = Amount { gpu: 0, ..need };
            before.push(json!({"name": "init", "image": IMAGE, "resources": {"requests": requests(need)}}));
            own.cpu /= 2;
            own.memory /= 2;
        }
        2 | 3 => {
            tags.insert("sidecars");
            let part = Amount { cpu: need.cpu / 3, memory: need.memory / 3, ..Amount::default() };
            own.cpu -= part.cpu;
            own.memory -= part.memory;
            before.push(json!({"name": "sidecar", "image": IMAGE, "restartPolicy": "Always", "resources": {"requests": requests(part)}}));
            if rng.bool() {
                let own = Amount { gpu: 0, ..own };
                before
                    .push(json!({"name": "init", "image": IMAGE, "resources": {"requests": requests(own)}}));
            }
        }
        _ => {}
    }
    let mut resources = json!({"requests": requests(own)});
    if own.gpu > 0 {
        resources["limits"] = json!({GPU: own.gpu.to_string()});
    }
    match rng.u32(0..20) {
        0 => {
            tags.insert("limits only");
            resources = json!({"limits": requests(own)});
        }
        1 => {
            tags.insert("no requests");
            resources = json!({});
            workload.need = Amount { pods: 1, ..Amount::default() };
        }
        2 if before.is_empty() && own.gpu == 0 && own.storage == 0 => {
            tags.insert("pod resources");
            workload.spec["resources"] = resources;
            resources = json!({"requests": {"cpu": "1m"}});
        }
        _ => {}
    }
    let mut container = json!({"name": "c", "image": IMAGE, "resources": resources});
    let ports = workload.spec["containers"][0]["ports"].clone();
    if !ports.is_null() {
        container["ports"] = ports;
    } else if rng.u32(0..12) == 0 {
        tags.insert("host ports");
        let port = *pick(rng, &PORTS);
        container["ports"] = json!([{"containerPort": port, "hostPort": port}]);
    }
    workload.spec["containers"] = json!([container]);
    if before.is_empty() {
        if let Some(spec) = workload.spec.as_object_mut() {
            spec.remove("initContainers");
        }
    } else {
        workload.spec["initContainers"] = json!(before);
    }
}

fn requests(need: Amount) -> Value {
    let mut requests = json!({"cpu": format!("{}m", need.cpu), "memory": format!("{}Mi", need.memory)});
    if need.storage > 0 {
        requests["ephemeral-storage"] = format!("{}Mi", need.storage).into();
    }
    if need.gpu > 0 {
        requests[GPU] = need.gpu.to_string().into();
    }
    requests
}

/// As many as there is room for, or one or two more or fewer.
fn replicas(rng: &mut Rng, world: &World, workload: &mut Workload, alone: bool) {
    let most = if alone { 10 } else { 5 };
    let one_each = workload.spec["affinity"]["podAntiAffinity"].is_object()
        || workload.spec["containers"][0]["ports"].is_array();
    let fits: i64 = workload
        .eligible
        .iter()
        .map(|at| world.room[*at].times(workload.need))
        .map(|fits| if one_each { fits.min(1) } else { fits })
        .sum();
    let fits = if world.gentle { fits / 2 } else { fits };
    let wanted = fits + *pick(rng, &[-2, -1, 0, 0, 1]);
    workload.replicas = if fits > most { rng.i64(1..=most) } else { wanted.clamp(1, most) };
    if workload.kind == "Job" {
        workload.replicas = rng.i64(1..=4);
    }
    if workload.kind == "Pod" {
        workload.replicas = 1;
    }
}

/// What a live workload becomes. Jobs and bare pods cannot change, so they stay as they are, or have another name.
pub fn next_version(rng: &mut Rng, world: &World, live: &Workload, tags: &mut Tags) -> Workload {
    let mut next = live.clone();
    if matches!(live.kind, "Job" | "Pod") {
        if rng.bool() {
            next.name = format!("{}-next", live.name);
            next.labels["app"] = next.name.clone().into();
        }
        return next;
    }
    match rng.u32(0..10) {
        // Nothing but another label: the whole rollout with what it asked for before.
        0..3 => next.labels["version"] = "2".into(),
        3 | 4 => {
            next.labels["version"] = "2".into();
            next.replicas += rng.i64(1..=3);
        }
        5 => next.replicas = (next.replicas + rng.i64(-2..=4)).max(1),
        6 => {}
        7 | 8 => {
            let mut need = next.need;
            let freed = world.room[*pick(rng, &(0..world.room.len()).collect::<Vec<_>>())].cpu;
            need.cpu = match rng.u32(0..4) {
                0 => need.cpu * 3 / 4,
                1 => need.cpu + freed,
                2 => need.cpu + freed / 2 + 1,
                _ => freed,
            };
            need.cpu = need.cpu.max(10);
            if let Some(spec) = next.spec.as_object_mut() {
                spec.remove("resources");
            }
            set_resources(rng, &mut next, need, tags);
        }
        _ => {
            if let Some(spec) = next.spec.as_object_mut() {
                for key in ["affinity", "topologySpreadConstraints", "nodeSelector"] {
                    spec.remove(key);
                }
            }
            choose_nodes(rng, world, &mut next, tags);
            choose_neighbours(rng, world, &mut next, &live.name, tags);
        }
    }
    if live.kind != "StatefulSet" && rng.u32(0..4) == 0 {
        fields(rng, &mut next);
    }
    next
}

/// A pod that is more often than not too much for every node.
pub fn lone_pod(rng: &mut Rng, world: &World, name: &str, tags: &mut Tags) -> Value {
    let mut pod = Workload {
        kind: "Pod",
        name: name.to_owned(),
        replicas: 1,
        fields: json!({}),
        labels: json!({"app": *pick(rng, &APPS), "role": *pick(rng, &ROLES)}),
        spec: json!({"terminationGracePeriodSeconds": 0}),
        need: Amount::default(),
        eligible: Vec::new(),
    };
    choose_nodes(rng, world, &mut pod, tags);
    // As others that run, so that there is something to be near to and far from.
    let own = *pick(rng, &APPS);
    for _ in 0..rng.u32(0..=2) {
        choose_neighbours(rng, world, &mut pod, own, tags);
    }
    // More than most nodes have.
    let mut free: Vec<_> = world.room.iter().map(|room| room.cpu.max(0)).collect();
    free.sort_unstable();
    let mut need =
        Amount { pods: 1, cpu: free[rng.usize(free.len() / 2..free.len())], memory: 64, ..Amount::default() };
    need.cpu += *pick(rng, &[0, 1, 50, 500]);
    if rng.u32(0..3) == 0 {
        need.cpu = 50;
    }
    if rng.u32(0..4) == 0 {
        need.memory = world.room[rng.usize(0..world.room.len())].memory.max(0) + 1;
    }
    if rng.u32(0..6) == 0 {
        need.storage = *pick(rng, &[10240, 10241, 51201]);
    }
    if rng.u32(0..5) == 0 {
        need.gpu = rng.i64(1..=3);
    }
    set_resources(rng, &mut pod, need, tags);
    pod.object(world.namespace)
}
