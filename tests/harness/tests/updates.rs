//! Changes of objects that are there: whether Preflight knows which ones the API server refuses.
//!
//! `updates/cases.jsonl` has a base object of each kind, what live objects have beyond it (`server` is what the server
//! itself would have written), and changes. Every change is tried on every live object of its kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write as _;

use libtest_mimic::Failed;
use preflight_harness::{Api, ApiError, ControlPlane, Options, Test, run_tests};
use preflight_plugins::updates::immutable::refused;
use preflight_plugins::updates::{defaulted, patch};
use serde_json::{Value, json};

/// Kinds whose changes the check of storage looks at.
const ELSEWHERE: [&str; 2] = ["PersistentVolumeClaim", "StatefulSet"];
/// As many cases there must be at least.
const LEAST: usize = 300;
const CASES: &str = include_str!("updates/cases.jsonl");
const NAMESPACE: &str = "d";

fn main() -> std::process::ExitCode {
    let test: Test = Box::new(|plane| same_as_server(plane));
    run_tests(Options { bare: true }, [("updates_are_refused_as_the_api_server_does", test)])
}

/// A kind, what is there of it, and what is to become of that.
#[derive(Default)]
struct Kind {
    base: Value,
    lives: Vec<(Value, Value)>,
    updates: Vec<Value>,
}

fn kinds() -> BTreeMap<String, Kind> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("every line is an object");
        if let Some(name) = case["base"].as_str() {
            kinds.entry(name.to_owned()).or_default().base = case["object"].clone();
            continue;
        }
        let kind = kinds.entry(case["kind"].as_str().expect("a kind").to_owned()).or_default();
        let live = (case["live"].clone(), case["server"].clone());
        if !kind.lives.contains(&live) {
            kind.lives.push(live);
        }
        if !kind.updates.contains(&case["update"]) {
            kind.updates.push(case["update"].clone());
        }
    }
    kinds
}

#[derive(Default)]
struct Counts {
    /// Pairs of a live object and a change that were compared, and how many of them are refused.
    compared: usize,
    refused: usize,
    /// Live objects that cannot be made here.
    unmade: Vec<String>,
    /// Changes to what would be refused anew too.
    invalid: usize,
    wrong: Vec<String>,
}

fn same_as_server(plane: &ControlPlane) -> Result<(), Failed> {
    let mut counts = Counts::default();
    plane.runtime().block_on(async {
        let api = plane.api();
        for object in [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}),
        ] {
            api.create(&object).await?;
        }
        for (name, kind) in kinds() {
            if ELSEWHERE.contains(&kind.base["kind"].as_str().unwrap_or_default()) {
                continue;
            }
            for (overlay, server) in &kind.lives {
                let manifest = overlaid(&kind.base, overlay);
                match made(api, &manifest, server).await {
                    Ok(live) => {
                        for update in &kind.updates {
                            try_update(api, &manifest, &live, update, &mut counts).await;
                        }
                    }
                    Err(error) => counts.unmade.push(format!("{name} {overlay} {server}: {error}")),
                }
                remove(api, &manifest).await;
            }
        }
        Ok::<_, ApiError>(())
    })?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} changes compared, {} of them refused; {} are invalid by themselves; {} live objects cannot be made",
        counts.compared,
        counts.refused,
        counts.invalid,
        counts.unmade.len()
    )?;
    counts.unmade.iter().try_for_each(|unmade| writeln!(out, "  not made: {unmade}"))?;
    if !counts.wrong.is_empty() {
        return Err(format!("{} disagreements\n{}", counts.wrong.len(), counts.wrong.join("\n")).into());
    }
    if counts.compared < LEAST {
        return Err(format!("only {} changes were compared", counts.compared).into());
    }
    Ok(())
}

/// RFC 7396.
fn overlaid(base: &Value, overlay: &Value) -> Value {
    let Value::Object(overlay) = overlay else { return overlay.clone() };
    let mut merged = base.as_object().cloned().unwrap_or_default();
    for (key, value) in overlay {
        if value.is_null() {
            merged.remove(key);
        } else {
            let own = merged.get(key).cloned().unwrap_or_default();
            merged.insert(key.clone(), overlaid(&own, value));
        }
    }
    Value::Object(merged)
}

/// Makes an object, with what the server itself would have written.
async fn made(api: &Api, manifest: &Value, server: &Value) -> Result<Value, ApiError> {
    api.create(manifest).await?;
    let path = api.path(manifest).await?;
    if server.is_object() {
        let mut own = server.clone();
        let status = own.as_object_mut().and_then(|own| own.remove("status"));
        if own.as_object().is_some_and(|own| !own.is_empty()) {
            api.merge(&path, &own).await?;
        }
        if let Some(status) = status {
            api.merge(&format!("{path}/status"), &json!({"status": status})).await?;
        }
    }
    if manifest["kind"] == "CustomResourceDefinition" {
        // Before that, more may be changed.
        let established = async || {
            let live = api.get(&path).await.ok()?;
            let mut conditions = live["status"]["conditions"].as_array()?.iter();
            conditions.any(|one| one["type"] == "Established" && one["status"] == "True").then_some(())
        };
        preflight_harness::poll(std::time::Duration::from_secs(20), established).await;
    }
    api.get(&path).await
}

async fn remove(api: &Api, manifest: &Value) {
    let Ok(path) = api.path(manifest).await else { return };
    // There may be nothing, or finalizers.
    let _ = api.merge(&path, &json!({"metadata": {"finalizers": null}})).await;
    let _ = api.delete(&format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background")).await;
    preflight_harness::poll(std::time::Duration::from_secs(10), async || {
        let _ = api.merge(&path, &json!({"metadata": {"finalizers": null}})).await;
        api.get(&path).await.is_err().then_some(())
    })
    .await;
}

async fn try_update(api: &Api, manifest: &Value, live: &Value, update: &Value, counts: &mut Counts) {
    let wanted = overlaid(manifest, update);
    let text = |key: &str| manifest[key].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    // What is not valid by itself says nothing of changes. That it is there already is found out last.
    if let Err(error) = api.dry_run(&wanted).await
        && error.code != 409
    {
        counts.invalid += 1;
        return;
    }
    let sent = patch::strategic(manifest, live, &wanted);
    let path = api.path(manifest).await.unwrap_or_default();
    let server = api.try_patch(&path, &sent).await.err();
    let after = defaulted(patch::applied(live, &sent));
    let ours = refused(group, kind, live, &after);
    counts.compared += 1;
    counts.refused += usize::from(server.is_some());
    if server.is_some() == ours.is_empty() {
        let server = server.map(|error| error.to_string());
        counts.wrong.push(format!("{manifest} + {update}\n  server: {server:?}\n  ours:   {ours:?}"));
    }
}
