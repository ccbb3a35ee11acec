//! A cluster in which all is well, what is done to it, and what is expected of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::{Decision, Environments, Manifests, Outcome, Preflight, Report};
use serde_json::{Value, json};

use crate::support::{Answer, ApiServer, Asked, id, ok, status, told};

pub const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
pub const VOLUMES: &str = "/api/v1/persistentvolumes";
pub const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
pub const CLAIM: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data";
pub const DRIVERS: &str = "/apis/storage.k8s.io/v1/csidrivers";
pub const CSI_NODES: &str = "/apis/storage.k8s.io/v1/csinodes";
pub const CAPACITIES: &str = "/apis/storage.k8s.io/v1/csistoragecapacities";
pub const NODES: &str = "/api/v1/nodes";
pub const PODS: &str = "/api/v1/pods";
pub const DRIVER: &str = "disk.csi.example.com";
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/disk.csi.example.com";
pub const SNAPSHOT: &str = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots/before";
pub const SET: &str = "/apis/apps/v1/namespaces/shop/statefulsets/db";

/// A state of the cluster, and what is expected of it.
pub struct Case {
    name: String,
    answers: BTreeMap<String, Answer>,
    release: Vec<Value>,
    environment: Value,
    decision: Decision,
    outcomes: Vec<(&'static str, &'static str)>,
    passed: Vec<&'static str>,
    unasked: Vec<&'static str>,
    says: Option<&'static str>,
}

/// All is well, and the release is one claim of the class `fast`.
pub fn case(name: impl Into<String>) -> Case {
    Case {
        name: name.into(),
        answers: healthy(),
        release: vec![claim(&json!({}))],
        environment: json!({}),
        decision: Decision::Go,
        outcomes: Vec::new(),
        passed: Vec::new(),
        unasked: Vec::new(),
        says: None,
    }
}

impl Case {
    /// What a path is answered with.
    pub fn answers(mut self, path: &str, answer: Answer) -> Self {
        self.answers.insert(path.to_owned(), answer);
        self
    }

    /// What is there.
    pub fn holds(self, path: &str, object: &Value) -> Self {
        self.answers(path, ok(object))
    }

    /// What a list holds.
    pub fn lists(self, path: &str, items: &[Value]) -> Self {
        self.holds(path, &list(items))
    }

    pub fn releases(mut self, release: &[Value]) -> Self {
        self.release = release.to_vec();
        self
    }

    /// What the environment says.
    pub fn environment(mut self, entry: &Value) -> Self {
        self.environment = entry.clone();
        self
    }

    /// The decision, and every rule that is neither passed nor without anything to examine.
    pub fn is(mut self, decision: Decision, outcomes: &[(&'static str, &'static str)]) -> Self {
        self.decision = decision;
        self.outcomes = outcomes.to_vec();
        self
    }

    pub fn unknown(self, rules: &[&'static str]) -> Self {
        let outcomes: Vec<_> = rules.iter().map(|rule| (*rule, "unknown")).collect();
        self.is(Decision::Unknown, &outcomes)
    }

    pub fn fails(self, rule: &'static str) -> Self {
        self.is(Decision::NoGo, &[(rule, "failed")])
    }

    pub fn warns(self, rule: &'static str) -> Self {
        self.is(Decision::Go, &[(rule, "warning")])
    }

    /// Rules that are passed, not only left alone.
    pub fn passes(mut self, rules: &[&'static str]) -> Self {
        self.passed.extend(rules);
        self
    }

    /// Lists that are not asked for.
    pub fn asks_not(mut self, paths: &[&'static str]) -> Self {
        self.unasked.extend(paths);
        self
    }

    /// A part of a finding's message.
    pub fn says(mut self, text: &'static str) -> Self {
        self.says = Some(text);
        self
    }
}

/// Tries every case, prints what came of it, and fails if anything is not as expected.
pub async fn expect_all(cases: Vec<Case>) {
    let tried = cases.into_iter().map(|case| async move {
        let (report, asked) = ask(&case).await;
        (case, report, asked)
    });
    let mut wrong = Vec::new();
    for (case, report, asked) in join_all(tried).await {
        let (seen, decision) = (told(&report), report.verdict.decision);
        let expected: BTreeMap<_, _> =
            case.outcomes.iter().map(|(rule, o)| ((*rule).to_owned(), *o)).collect();
        let words: Vec<_> = seen.iter().map(|(rule, outcome)| format!("{rule} {outcome}")).collect();
        println!("{:<72} {:<8} {}", case.name, format!("{decision:?}"), words.join(", "));
        let name = &case.name;
        if (decision, &seen) != (case.decision, &expected) {
            let headline = &report.verdict.headline;
            wrong.push(format!(
                "{name}: {decision:?} {seen:?}, not {:?} {expected:?}: {headline}",
                case.decision
            ));
        }
        let passed = passed(&report);
        for rule in case.passed.iter().filter(|rule| !passed.contains(&(**rule).to_owned())) {
            wrong.push(format!("{name}: {rule} is not passed"));
        }
        let messages: Vec<_> = report
            .checks
            .iter()
            .flat_map(|check| &check.findings)
            .map(|finding| finding.message.clone())
            .collect();
        if let Some(text) = case.says.filter(|text| !messages.iter().any(|message| message.contains(text))) {
            wrong.push(format!("{name}: {messages:?} do not say {text:?}"));
        }
        for path in case.unasked.iter().filter(|path| asked.contains(&(**path).to_owned())) {
            wrong.push(format!("{name}: {path} is asked for"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn ask(case: &Case) -> (Report, Vec<String>) {
    let answers = case.answers.clone();
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&log);
    let api = ApiServer::start(Arc::new(move |asked: &Asked| {
        let path = asked.path.split('?').next().unwrap_or_default();
        noted.lock().unwrap().push(path.to_owned());
        // The second page of a list has a path of its own here.
        let page =
            if asked.path.contains("continue=") { format!("{path} continued") } else { path.to_owned() };
        answers.get(&page).cloned().unwrap_or_else(|| status(404, "not found"))
    }))
    .await;
    let environment = json!({"environments": {"e": case.environment}});
    let environments = Environments::parse("e.yaml", &environment.to_string()).unwrap();
    let text = case.release.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let report = Preflight::new(api.cluster())
        .environment(environments.get("e").unwrap())
        .manifests(Manifests::parse("a.yaml", &text).unwrap())
        .plugins(preflight_plugins::builtin())
        .only(["storage-validation".to_owned()])
        .start()
        .unwrap()
        .finish()
        .await;
    let asked = log.lock().unwrap().clone();
    (report, asked)
}

fn passed(report: &Report) -> Vec<String> {
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    let passed = rules.filter(|rule| matches!(rule.outcome, Outcome::Passed { .. }));
    passed.map(|rule| id(&rule.rule)).collect()
}

pub fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "metadata": {}, "items": items})
}

/// Puts these fields into an object, in place of those of the same name. What is null is taken out.
pub fn set(object: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

/// A cluster with two nodes, a driver that is well on both, and the class `fast` of it.
fn healthy() -> BTreeMap<String, Answer> {
    let kind = |resource: &str, kind: &str, scope: &str| json!({"resource": resource, "responseKind": {"kind": kind}, "scope": scope});
    let version = |version: &str, resources: &[Value]| json!({"version": version, "freshness": "Current", "resources": resources});
    let group = |name: &str, versions: &[Value]| json!({"metadata": {"name": name}, "versions": versions});
    let core = [
        kind("configmaps", "ConfigMap", "Namespaced"),
        kind("pods", "Pod", "Namespaced"),
        kind("persistentvolumeclaims", "PersistentVolumeClaim", "Namespaced"),
        kind("persistentvolumes", "PersistentVolume", "Cluster"),
    ];
    let apps = [
        kind("deployments", "Deployment", "Namespaced"),
        kind("daemonsets", "DaemonSet", "Namespaced"),
        kind("statefulsets", "StatefulSet", "Namespaced"),
    ];
    let groups = [
        group("apps", &[version("v1", &apps)]),
        group("storage.k8s.io", &[version("v1", &[kind("storageclasses", "StorageClass", "Cluster")])]),
        group(
            "snapshot.storage.k8s.io",
            &[version("v1", &[kind("volumesnapshots", "VolumeSnapshot", "Namespaced")])],
        ),
    ];
    let discovery = |groups: &[Value]| json!({"kind": "APIGroupDiscoveryList", "items": groups});
    [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        ("/api", discovery(&[group("", &[version("v1", &core)])])),
        ("/apis", discovery(&groups)),
        (CLASSES, list(&[class("fast", &json!({}))])),
        (VOLUMES, list(&[])),
        (CLAIMS, list(&[])),
        (DRIVERS, list(&[json!({"metadata": {"name": DRIVER}, "spec": {}})])),
        (CSI_NODES, list(&[csi_node("node-1", &[DRIVER]), csi_node("node-2", &[DRIVER])])),
        (CAPACITIES, list(&[])),
        (NODES, list(&[node("node-1", "a"), node("node-2", "b")])),
        (
            PODS,
            list(&[controller(true), node_plugin("node-plugin-1", true), node_plugin("node-plugin-2", true)]),
        ),
    ]
    .into_iter()
    .map(|(path, object)| (path.to_owned(), ok(&object)))
    .collect()
}

/// A class of the driver, with these fields instead.
pub fn class(name: &str, fields: &Value) -> Value {
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "provisioner": DRIVER, "volumeBindingMode": "Immediate",
    });
    set(&mut class, fields);
    class
}

/// A class that is marked as the default.
pub fn default_class(name: &str, created: &str) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    class(
        name,
        &json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}),
    )
}

pub fn node(name: &str, zone: &str) -> Value {
    let labels = json!({"kubernetes.io/hostname": name, "zone": zone});
    json!({"metadata": {"name": name, "labels": labels}})
}

pub fn csi_node(name: &str, drivers: &[&str]) -> Value {
    let drivers: Vec<_> =
        drivers.iter().map(|name| json!({"name": name, "nodeID": "n", "topologyKeys": null})).collect();
    json!({"metadata": {"name": name}, "spec": {"drivers": drivers}})
}

fn pod(name: &str, spec: &Value, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({
        "metadata": {"name": name, "namespace": "storage"}, "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

/// The driver's controller.
pub fn controller(ready: bool) -> Value {
    pod("controller-1", &json!({"containers": [{"name": "csi-provisioner", "image": "a:1"}]}), ready)
}

/// A pod of the driver's node plugin.
pub fn node_plugin(name: &str, ready: bool) -> Value {
    let path = format!("/var/lib/kubelet/plugins/{DRIVER}");
    let spec = json!({
        "containers": [{"name": "plugin", "image": "a:1"}],
        "volumes": [{"name": "folder", "hostPath": {"path": path}}],
    });
    pod(name, &spec, ready)
}

/// A pod with one container.
pub fn other_pod(container: &Value, ready: bool) -> Value {
    pod("other-1", &json!({"containers": [container]}), ready)
}

/// The claim `data` of the class `fast`, with these fields in its `spec` instead.
pub fn claim(fields: &Value) -> Value {
    let mut spec = json!({
        "storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"},
        "spec": spec,
    })
}

/// The claim `data` as it is in the cluster.
pub fn live_claim(phase: &str, fields: &Value) -> Value {
    let mut live = claim(fields);
    live["metadata"]["uid"] = "1".into();
    live["spec"]["volumeMode"] = "Filesystem".into();
    live["status"] = json!({"phase": phase});
    if phase == "Bound" {
        live["spec"]["volumeName"] = "pv-1".into();
        live["status"]["capacity"] = live["spec"]["resources"]["requests"].clone();
    }
    live
}

/// A volume made by hand, of the class `manual`, with these fields in its `spec` instead.
pub fn volume(name: &str, fields: &Value) -> Value {
    let mut spec = json!({
        "storageClassName": "manual", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
        "hostPath": {"path": "/nowhere"},
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec,
        "status": {"phase": "Available"},
    })
}

/// A workload whose pods use the claim `data`, with these fields in the pods' `spec` besides.
pub fn workload(kind: &str, fields: &Value) -> Value {
    let mut spec = json!({
        "containers": [{"name": "app", "image": "a:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        },
    })
}

/// A StatefulSet whose pods have claims of the class `fast`, with these fields in its `spec` instead.
pub fn stateful_set(replicas: u64, fields: &Value) -> Value {
    let mut spec = json!({
        "replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "app", "image": "a:1"}]},
        },
        "volumeClaimTemplates": [template(&json!({}))],
    });
    set(&mut spec, fields);
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"}, "spec": spec})
}

/// A template of claims, with these fields in its `spec` instead.
pub fn template(fields: &Value) -> Value {
    json!({"metadata": {"name": "data"}, "spec": claim(fields)["spec"]})
}

/// A claim that a StatefulSet has made.
pub fn claim_of_set(ordinal: u64, phase: &str) -> Value {
    let mut live = live_claim(phase, &json!({}));
    live["metadata"]["name"] = format!("data-db-{ordinal}").into();
    live
}
