//! Random nodes, and pods that run on them.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

pub const HOSTNAME: &str = "kubernetes.io/hostname";
pub const ZONE: &str = "topology.kubernetes.io/zone";
pub const GPU: &str = "example.com/gpu";
/// The one image. Every node has it already, so nothing is pulled.
pub const IMAGE: &str = "registry.example.com/app:1";
/// Host ports that pods ask for.
pub const PORTS: [i64; 2] = [8080, 9090];
/// What the running pods are called by, in their label `app`.
pub const APPS: [&str; 3] = ["web", "db", "cache"];
/// The label `role` of all pods.
pub const ROLES: [&str; 2] = ["front", "back"];

/// An amount of everything: CPU in thousandths, memory and storage in Mi.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    pub cpu: i64,
    pub memory: i64,
    pub storage: i64,
    pub gpu: i64,
    pub pods: i64,
}

impl Amount {
    pub fn take(&mut self, other: Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.storage -= other.storage;
        self.gpu -= other.gpu;
        self.pods -= other.pods;
    }

    /// How often the other one is in it.
    pub fn times(self, other: Self) -> i64 {
        let pairs = [
            (self.cpu, other.cpu),
            (self.memory, other.memory),
            (self.storage, other.storage),
            (self.gpu, other.gpu),
            (self.pods, other.pods),
        ];
        let fits = pairs.into_iter().filter(|(_, need)| *need > 0).map(|(room, need)| room.max(0) / need);
        fits.min().unwrap_or(0)
    }

    /// What the containers of a pod ask for, none less than that.
    pub fn of_pod(pod: &Value) -> Self {
        let mut sum = Self { pods: 1, ..Self::default() };
        for key in ["initContainers", "containers"] {
            for container in pod["spec"][key].as_array().into_iter().flatten() {
                let requests = &container["resources"]["requests"];
                sum.cpu += thousandths(&requests["cpu"]);
                sum.memory += mebibytes(&requests["memory"]);
                sum.storage += mebibytes(&requests["ephemeral-storage"]);
                sum.gpu += thousandths(&requests[GPU]) / 1000;
            }
        }
        let whole = &pod["spec"]["resources"]["requests"];
        sum.cpu = sum.cpu.max(thousandths(&whole["cpu"]));
        sum.memory = sum.memory.max(mebibytes(&whole["memory"]));
        sum
    }
}

fn thousandths(quantity: &Value) -> i64 {
    let text = quantity.as_str().unwrap_or("0");
    match text.strip_suffix('m') {
        Some(number) => number.parse().unwrap_or(0),
        None => text.parse::<i64>().unwrap_or(0) * 1000,
    }
}

fn mebibytes(quantity: &Value) -> i64 {
    let text = quantity.as_str().unwrap_or("0");
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    match text.strip_suffix("Gi") {
        Some(gibibytes) => number(gibibytes) * 1024,
        None => text.strip_suffix("Mi").map_or(0, number),
    }
}

#[derive(Debug, Clone)]
pub struct Taint {
    pub key: String,
    pub value: Option<String>,
    pub effect: &'static str,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub room: Amount,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub cordoned: bool,
}

impl Node {
    pub fn object(&self) -> Value {
        let mut amounts = json!({
            "cpu": format!("{}m", self.room.cpu), "memory": format!("{}Mi", self.room.memory),
            "pods": self.room.pods.to_string(), "ephemeral-storage": format!("{}Mi", self.room.storage),
        });
        if self.room.gpu > 0 {
            amounts[GPU] = self.room.gpu.to_string().into();
        }
        let taints: Vec<_> = self
            .taints
            .iter()
            .map(|taint| match &taint.value {
                Some(value) => json!({"key": taint.key, "value": value, "effect": taint.effect}),
                None => json!({"key": taint.key, "effect": taint.effect}),
            })
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {"taints": taints, "unschedulable": self.cordoned},
            "status": {
                "capacity": amounts, "allocatable": amounts,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "images": [{"names": [IMAGE], "sizeBytes": 1000}],
            },
        })
    }
}

/// Nodes, mostly few. Their names are those of no other batch.
pub fn nodes(rng: &mut Rng, batch: usize) -> Vec<Node> {
    let count = if rng.u32(0..8) == 0 { rng.usize(16..=200) } else { rng.usize(5..=15) };
    let zones = rng.usize(1..=4);
    // On some clusters hardly any node is special.
    let special = *pick(rng, &[0, 10, 25]);
    (0..count).map(|at| node(rng, format!("b{batch}-{at}"), zones, special)).collect()
}

fn node(rng: &mut Rng, name: String, zones: usize, special: u32) -> Node {
    let chance = |rng: &mut Rng, percent: u32| rng.u32(0..100) < percent;
    let mut labels = BTreeMap::from([
        (HOSTNAME.to_owned(), name.clone()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("disk".to_owned(), (*pick(rng, &["ssd", "hdd"])).to_owned()),
        ("generation".to_owned(), rng.u32(1..=5).to_string()),
    ]);
    if !chance(rng, special / 2) {
        labels.insert(ZONE.to_owned(), format!("z{}", rng.usize(0..zones)));
    }
    if chance(rng, 60) {
        labels.insert("tier".to_owned(), (*pick(rng, &["gold", "silver"])).to_owned());
    }
    let mut taints = Vec::new();
    let mut taint = |key: &str, value: Option<&str>, effect| {
        taints.push(Taint { key: key.to_owned(), value: value.map(str::to_owned), effect });
    };
    if chance(rng, special) {
        taint("dedicated", Some(*pick(rng, &["batch", "web"])), "NoSchedule");
    }
    if chance(rng, special / 2) {
        taint("special", None, "NoExecute");
    }
    if chance(rng, special) {
        taint("spot", Some("true"), "PreferNoSchedule");
    }
    let cordoned = chance(rng, special / 2);
    if cordoned {
        taint("node.kubernetes.io/unschedulable", None, "NoSchedule");
    }
    let room = Amount {
        cpu: *pick(rng, &[2000, 3920, 4000, 8000, 16000]),
        memory: *pick(rng, &[3500, 8192, 16384, 32768]),
        storage: *pick(rng, &[10240, 51200]),
        gpu: if chance(rng, 20) { *pick(rng, &[1, 2, 4]) } else { 0 },
        pods: if chance(rng, 12) { rng.i64(2..=6) } else { 110 },
    };
    Node { name, room, labels, taints, cordoned }
}

/// How the cluster is filled.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    /// Hundredths of the CPU and memory that are taken, more or less.
    pub share: i64,
    /// Hundredths of the pods that are of low priority.
    pub low: u32,
}

/// Pods that take room, and what room they leave.
pub fn fillers(
    rng: &mut Rng,
    nodes: &[Node],
    room: &mut [Amount],
    namespaces: &[String],
    filling: Filling,
) -> Vec<Value> {
    let mut pods = Vec::new();
    for (node, room) in nodes.iter().zip(room) {
        let share = (filling.share + rng.i64(-25..=25)).clamp(0, 97);
        let least = (node.room.cpu * (100 - share) / 100, node.room.memory * (100 - share) / 100);
        let mut ports = PORTS.to_vec();
        for _ in 0..rng.usize(1..=4) {
            let mut need = Amount {
                cpu: *pick(rng, &[100, 250, 500, 1000, 2000]),
                memory: *pick(rng, &[64, 256, 512, 2048]),
                pods: 1,
                ..Amount::default()
            };
            need.cpu = need.cpu.max((room.cpu - least.0) / 3);
            need.memory = need.memory.max((room.memory - least.1) / 4);
            if room.gpu > 0 && rng.bool() {
                need.gpu = 1;
            }
            let low = room.cpu - need.cpu < least.0 || room.memory - need.memory < least.1;
            if low || room.times(need) < 1 {
                continue;
            }
            room.take(need);
            let at = pods.len();
            let namespace = if rng.u32(0..5) == 0 { &namespaces[0] } else { &namespaces[1] };
            pods.push(filler(rng, node, at, namespace, need, &mut ports, filling.low));
        }
    }
    pods
}

fn filler(
    rng: &mut Rng,
    node: &Node,
    at: usize,
    namespace: &str,
    need: Amount,
    ports: &mut Vec<i64>,
    low: u32,
) -> Value {
    let mut requests = json!({"cpu": format!("{}m", need.cpu), "memory": format!("{}Mi", need.memory)});
    let mut resources = json!({});
    if need.gpu > 0 {
        requests[GPU] = need.gpu.to_string().into();
        resources["limits"] = json!({GPU: need.gpu.to_string()});
    }
    resources["requests"] = requests;
    let mut container = json!({"name": "c", "image": IMAGE, "resources": resources});
    if rng.u32(0..10) == 0
        && let Some(port) = ports.pop()
    {
        container["ports"] = json!([{"containerPort": port, "hostPort": port}]);
    }
    let mut spec = json!({
        "nodeName": node.name, "containers": [container], "terminationGracePeriodSeconds": 0,
        // Else it would be evicted from nodes with NoExecute.
        "tolerations": [{"operator": "Exists"}],
    });
    if rng.u32(0..12) == 0 {
        let labels = if rng.bool() { json!({"role": *pick(rng, &ROLES)}) } else { json!({"app": "w0"}) };
        let mut term = json!({
            "topologyKey": if rng.u32(0..3) == 0 { ZONE } else { HOSTNAME },
            "labelSelector": {"matchLabels": labels},
        });
        if rng.u32(0..4) > 0 {
            term["namespaceSelector"] = json!({});
        }
        spec["affinity"] =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    }
    if rng.u32(0..100) < low {
        spec["priorityClassName"] = "low".into();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("f{at}"), "namespace": namespace,
            "labels": {"app": *pick(rng, &APPS), "role": *pick(rng, &["back", "data"])},
        },
        "spec": spec,
    })
}

/// One of them.
pub fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}
