//! The infrastructure phase and the checks of the resources phase on the real control plane and a real registry: each
//! thing is asked once. How long they take beside their slowest request is printed, and not judged: the machine that this
//! runs on is shared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Decision, Environments, Manifests, Preflight, Report};
use preflight_harness::scenario::{Scenario, documents, folder_documents, make_cluster};
use preflight_harness::{Api, ControlPlane, Options, Test, User, reset, run_tests};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Runs of which the median is told.
const RUNS: usize = 9;
/// Nodes of the larger cluster, and pods on them.
const NODES: usize = 200;
const PODS: usize = 2000;
/// Pods that are made at once.
const AT_ONCE: usize = 16;
/// The checks that look at nodes and pods.
const RESOURCES: [&str; 2] = ["resource-capacity", "storage-validation"];

/// One request, as the log tells it.
#[derive(Debug, Clone, Default)]
struct Asked {
    question: String,
    elapsed: Duration,
}

/// What was asked, of the API server and of registries.
#[derive(Clone, Default)]
struct RequestLog(Arc<Mutex<Vec<Asked>>>);

impl<S: tracing::Subscriber> Layer<S> for RequestLog {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(elapsed) = fields.0.get("elapsed") else { return };
        let told = |name: &str| fields.0.get(name).cloned().unwrap_or_default();
        let question = format!(
            "{}{}{}{} {}{}",
            told("question"),
            told("posted"),
            told("method"),
            told("query"),
            told("server"),
            told("path")
        );
        self.0.lock().unwrap().push(Asked { question, elapsed: seconds(elapsed) });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// A duration as it is written for debugging: `1.5ms`.
fn seconds(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic() || c == 'µ').unwrap());
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        _ => 1e-9,
    };
    Duration::from_secs_f64(number.parse::<f64>().unwrap() * scale)
}

fn main() -> std::process::ExitCode {
    let log = RequestLog::default();
    let own = tracing_subscriber::filter::filter_fn(|data| data.target().starts_with("preflight"));
    tracing::subscriber::set_global_default(Registry::default().with(log.clone().with_filter(own))).unwrap();
    let test: Test = Box::new(move |plane| asked_once(plane, &log));
    run_tests(Options::default(), [("each_thing_is_asked_once", test)])
}

/// The storefront, beside a webhook and a custom resource with its definition.
fn asked_once(plane: &ControlPlane, log: &RequestLog) -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let webhook = Scenario::load(&root.join("../scenarios/webhook-healthy"))?.filled(plane)?;
    let resource = Scenario::load(&root.join("../scenarios/custom-resource-valid"))?;
    let storefront = root.join("../../examples/storefront/manifests");
    plane.runtime().block_on(async {
        reset(plane.api()).await;
        webhook.make_state(plane).await?;
        make_cluster(plane.api(), &documents(&resource.folder.join("cluster.yaml"))?).await?;
        let classes = documents(&storefront.join("../cluster.yaml"))?;
        let classes: Vec<_> = classes.into_iter().filter(|object| object["kind"] == "StorageClass").collect();
        make_cluster(plane.api(), &classes).await
    })?;
    let manifests = [storefront.clone(), webhook.manifests(), resource.manifests()];
    let mut objects = folder_documents(&storefront)?;
    objects.extend(documents(&webhook.manifests())?);
    let images = plane.images().expect("it has nodes");
    images.publish(root, &objects)?;
    let conf = images.registries_conf(&objects)?;
    let environment = json!({"environments": {"test": {
        "storage": {"provisioners": ["harness.example/csi"]},
        "images": {"registries_conf": conf, "no_own_credentials": true, "require_digests": true}}}});
    let environments = Environments::parse("environments.yaml", &environment.to_string()).unwrap();
    let kubeconfig = plane.kubeconfig(&User::Admin, "harness")?;
    let options = AccessOptions { kubeconfig: Some(kubeconfig), ..AccessOptions::default() };

    let run = || {
        Preflight::new(Cluster::resolve(&options).unwrap())
            .environment(environments.get("test").unwrap())
            .manifests(Manifests::from_paths(&manifests).unwrap())
            .plugins(preflight_plugins::builtin())
    };
    measure(plane, log, "on one node the run", &run)?;
    plane.runtime().block_on(make_cluster(plane.api(), &more_nodes()))?;
    measure(plane, log, &format!("on {NODES} nodes the run"), &run)?;
    plane.runtime().block_on(more_pods(plane.api()))?;
    let resources = || run().only(RESOURCES.map(str::to_owned));
    measure(plane, log, &format!("on {NODES} nodes with {PODS} pods capacity and storage"), &resources)?;
    measure(plane, log, &format!("on {NODES} nodes with {PODS} pods the run"), &run)
}

/// Pods as large as real ones are. They are on the nodes from the start, so nobody has to schedule them.
async fn more_pods(api: &Api) -> Result<(), Failed> {
    let pod = |at: usize| {
        let variables: Vec<_> =
            (0..20).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "x".repeat(100)})).collect();
        let labels =
            json!({"app": format!("app-{}", at % 50), "pod-template-hash": format!("{:x}", at % 60)});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{at}"), "namespace": "crowd", "labels": labels},
            "spec": {
                "nodeName": format!("more-{}", at % (NODES - 1) + 1),
                "containers": [{"name": "c", "image": "registry.example.com/app:1", "env": variables,
                                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}],
            },
        })
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "crowd"}});
    make_cluster(api, &[namespace]).await?;
    let mut making = tokio::task::JoinSet::new();
    for at in 0..PODS {
        if making.len() >= AT_ONCE
            && let Some(made) = making.join_next().await
        {
            made??;
        }
        let (api, pod) = (api.clone(), pod(at));
        making.spawn(async move { api.create(&pod).await.map(|_| ()) });
    }
    while let Some(made) = making.join_next().await {
        made??;
    }
    Ok(())
}

/// Nodes as large as real ones are: most of it is the images that they tell of.
fn more_nodes() -> Vec<serde_json::Value> {
    let image = |node: usize, at: usize| {
        let name = format!("registry.example.com/team-{}/service-{at}", node % 7);
        json!({"names": [format!("{name}@sha256:{:064x}", node * 100 + at), format!("{name}:1.{at}")], "sizeBytes": 1})
    };
    let node = |at: usize| {
        let quantities = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"});
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": format!("more-{at}"), "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            "status": {
                "capacity": quantities, "allocatable": quantities,
                "images": (0..50).map(|image_at| image(at, image_at)).collect::<Vec<_>>(),
            },
        })
    };
    (1..NODES).map(node).collect()
}

/// Runs it some times, and tells the median.
fn measure(
    plane: &ControlPlane,
    log: &RequestLog,
    cluster: &str,
    run: &dyn Fn() -> Preflight,
) -> Result<(), Failed> {
    let mut ratios = Vec::new();
    let mut table = String::new();
    for _ in 0..RUNS {
        log.0.lock().unwrap().clear();
        let run = run();
        let started = Instant::now();
        let report = plane.runtime().block_on(async { run.start().unwrap().finish().await });
        let took = started.elapsed();
        ratios.push(judge(&report, took, &log.0.lock().unwrap(), &mut table)?);
    }
    ratios.sort_by(f64::total_cmp);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{table}{cluster} took {:.2} × its slowest request or list (median of {RUNS})",
        ratios[RUNS / 2]
    )?;
    Ok(())
}

/// Nothing twice; gives how much longer the phase took than its slowest request.
fn judge(report: &Report, took: Duration, asked: &[Asked], table: &mut String) -> Result<f64, Failed> {
    if report.verdict.decision != Decision::Go {
        return Err(format!("{}: {:?}", report.verdict.headline, report.verdict.unknown).into());
    }
    let mut times = BTreeMap::new();
    for one in asked {
        *times.entry(&one.question).or_insert(0) += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    if !twice.is_empty() {
        return Err(format!("asked more than once: {twice:#?}").into());
    }
    // The pages of a list come one after the other.
    let mut lists: BTreeMap<&str, Duration> = BTreeMap::new();
    for one in asked {
        let list = one.question.split_once("(\"continue\"").map_or(one.question.as_str(), |(list, _)| list);
        *lists.entry(list.trim_end_matches([',', ' ', ']'])).or_default() += one.elapsed;
    }
    let (slowest, time) = lists.into_iter().max_by_key(|(_, time)| *time).ok_or("nothing was asked")?;
    let ratio = took.as_secs_f64() / time.as_secs_f64();
    writeln!(table, "{} requests, {took:?}; the slowest {time:?}: {slowest}; {ratio:.2}", asked.len())?;
    Ok(ratio)
}
