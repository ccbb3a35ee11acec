//! Whether what was applied has landed: accepted, rolled out, bound.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Api;
use crate::apply::Applied;

/// How long nothing may change before it counts as standing still.
const STAND_STILL: Duration = Duration::from_secs(5);

/// How many warnings of the cluster are told.
const WARNINGS: usize = 3;

/// What became of a release.
#[derive(Debug, Clone)]
pub struct Landing {
    /// Whether all of it has landed.
    pub landed: bool,
    /// What has not, and why.
    pub why: Vec<String>,
}

/// Watches until everything has landed, or stands still, for at most `patience`.
pub async fn settle(api: &Api, applied: &[Applied], patience: Duration) -> Landing {
    let refused: Vec<String> = applied
        .iter()
        .filter_map(|applied| Some(format!("{}: {}", name(&applied.object), applied.result.as_ref().err()?)))
        .collect();
    if !refused.is_empty() {
        return Landing { landed: false, why: refused };
    }
    let until = Instant::now() + patience;
    let (mut before, mut since) = (Vec::new(), Instant::now());
    loop {
        let mut open = Vec::new();
        for applied in applied {
            if let Some(why) = missing(api, &applied.object).await {
                open.push(format!("{}: {why}", name(&applied.object)));
            }
        }
        if open.is_empty() {
            return Landing { landed: true, why: open };
        }
        if open != before {
            (before, since) = (open.clone(), Instant::now());
        }
        if since.elapsed() > STAND_STILL || Instant::now() > until {
            open.extend(warnings(api, applied).await);
            return Landing { landed: false, why: open };
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the cluster warns of in the namespaces of what was applied.
async fn warnings(api: &Api, applied: &[Applied]) -> Vec<String> {
    let namespaces = applied.iter().filter_map(|applied| applied.object["metadata"]["namespace"].as_str());
    let mut told = Vec::new();
    for namespace in namespaces.collect::<BTreeSet<_>>() {
        let events = api.items(&format!("/api/v1/namespaces/{namespace}/events")).await;
        for event in events.iter().filter(|event| event["type"] == "Warning") {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            let warning = format!("{}: {}", text("reason"), text("message"));
            if told.len() < WARNINGS && !told.contains(&warning) {
                told.push(warning);
            }
        }
    }
    told
}

fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// What keeps an object from having landed.
async fn missing(api: &Api, object: &Value) -> Option<String> {
    // What has a generated name cannot be looked up; that it was accepted has to do.
    object.pointer("/metadata/name")?;
    let path = match api.path(object).await {
        Ok(path) => path,
        Err(error) => return Some(error.to_string()),
    };
    let live = match api.get(&path).await {
        Ok(live) => live,
        Err(error) => return Some(error.to_string()),
    };
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
    let is_true = |kind: &str| {
        let conditions = live["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    let observed = number("/status/observedGeneration") >= number("/metadata/generation");
    let wanted = number("/spec/replicas").unwrap_or(1);
    let count = |key: &str| number(&format!("/status/{key}")).unwrap_or(0);
    let rolled_out = |ready: i64, wanted: i64| {
        (!observed || ready < wanted).then(|| format!("{ready} of {wanted} are up to date and ready"))
    };
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => {
            let surplus = count("replicas") > count("updatedReplicas");
            rolled_out(count("updatedReplicas").min(count("availableReplicas")), wanted)
                .or_else(|| surplus.then(|| "old pods are still there".to_owned()))
        }
        "StatefulSet" => rolled_out(count("updatedReplicas").min(count("readyReplicas")), wanted),
        "ReplicaSet" => rolled_out(count("readyReplicas"), wanted),
        "DaemonSet" => {
            let wanted = count("desiredNumberScheduled");
            rolled_out(count("updatedNumberScheduled").min(count("numberAvailable")), wanted)
        }
        "Job" => (!is_true("Complete")).then(|| "it is not complete".to_owned()),
        "Pod" => {
            let done = is_true("Ready") || live["status"]["phase"] == "Succeeded";
            (!done).then(|| "it is not ready".to_owned())
        }
        "HorizontalPodAutoscaler" => {
            let conditions = live["status"]["conditions"].as_array();
            let looked = conditions.is_some_and(|all| !all.is_empty());
            let least = number("/spec/minReplicas").unwrap_or(1);
            let scaled = count("currentReplicas").max(count("desiredReplicas")) >= least;
            // One whose target is not there scales nothing.
            (!looked || (is_true("AbleToScale") && !scaled)).then(|| "it has not scaled yet".to_owned())
        }
        "PersistentVolumeClaim" => unbound(api, &live).await,
        "CustomResourceDefinition" => (!is_true("Established")).then(|| "it is not established".to_owned()),
        "Namespace" => (live["status"]["phase"] != "Active").then(|| "it is not active".to_owned()),
        _ => None,
    }
}

/// A claim without a volume has landed while its class waits for a pod, and none uses it.
async fn unbound(api: &Api, claim: &Value) -> Option<String> {
    if claim["status"]["phase"] == "Bound" {
        return None;
    }
    let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
    let class = api.get(&format!("/apis/storage.k8s.io/v1/storageclasses/{class}")).await;
    let waits = class.is_ok_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
    let namespace = claim["metadata"]["namespace"].as_str().unwrap_or_default();
    let pods = api.items(&format!("/api/v1/namespaces/{namespace}/pods")).await;
    let uses = |pod: &Value| {
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes
            .into_iter()
            .any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"])
    };
    (!waits || pods.iter().any(uses)).then(|| "it is not bound".to_owned())
}
