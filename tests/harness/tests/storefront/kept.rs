//! Trying a release out keeps nothing: whatever can be listed is the same before and after.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Environments, Manifests, Outcome, Preflight, Report};
use preflight_harness::scenario::{documents, make_cluster};
use preflight_harness::{Api, Apply, ControlPlane, User, apply, namespaces_gone, poll, reset, settle};
use serde_json::{Value, json};

/// Kinds whose objects move on their own, whoever does what.
const MOVING: [&str; 2] = ["events", "leases"];
const PATIENCE: Duration = Duration::from_secs(120);
/// How often nothing may have changed, one time after the other, before it counts as quiet.
const QUIET: usize = 15;
/// Objects and pods that must have been tried at least.
const OBJECTS: usize = 25;
const PODS: usize = 3;

/// Every object that can be listed, with its `resourceVersion`.
type Listing = BTreeMap<String, String>;

pub fn nothing_is_kept(plane: &mut ControlPlane) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storefront");
    let read = |file: &str| documents(&folder.join(file));
    let (state, live, release) = (read("cluster.yaml")?, read("live.yaml")?, read("release.yaml")?);
    let images = plane.images().ok_or("a control plane with nodes has images")?;
    images.publish(&folder, &[live.clone(), release.clone()].concat())?;
    let api = plane.api().clone();
    plane.runtime().block_on(async {
        reset(&api).await;
        namespaces_gone(&api).await;
        make_cluster(&api, &state).await?;
        mutates(&api).await?;
        let applied = apply(&api, &live, Apply::Client, None).await;
        let landing = settle(&api, &applied, PATIENCE).await;
        if landing.landed { Ok::<_, Failed>(()) } else { Err(landing.why.join("\n").into()) }
    })?;
    let kubeconfig = plane.kubeconfig(&User::Admin, "harness")?;
    for method in ["client", "server", "helm", "create"] {
        plane.runtime().block_on(async {
            let before = quiet(&api).await?;
            let report = ask(&kubeconfig, &folder.join("release.yaml"), method).await?;
            let after = listed(&api).await?;
            tried(&report, method)?;
            let differ = differences(&before, &after);
            if differ.is_empty() {
                return Ok::<_, Failed>(());
            }
            Err(format!("{method}: {} of {}:\n{}", differ.len(), before.len(), differ.join("\n")).into())
        })?;
    }
    plane.runtime().block_on(async {
        // What is kept would be seen.
        let before = quiet(&api).await?;
        apply(&api, &release, Apply::Client, None).await;
        let differ = differences(&before, &listed(&api).await?);
        for what in [
            "/configmaps trials/settings",
            "/ipaddresses ",
            "/namespaces trials-more",
            "/widgets trials/large",
        ] {
            if !differ.iter().any(|line| line.contains(what)) {
                return Err(format!("{what} is not seen: {}", differ.join("\n")).into());
            }
        }
        for kind in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
            api.delete(&format!("/apis/admissionregistration.k8s.io/v1/{kind}/trials")).await?;
        }
        reset(&api).await;
        Ok(())
    })
}

/// Waits until the policy that changes objects counts.
async fn mutates(api: &Api) -> Result<(), Failed> {
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "trials"}});
    let changed = async || {
        let made = api.dry_run(&probe).await.ok()?;
        (made["metadata"]["labels"]["mutated"] == "yes").then_some(())
    };
    poll(PATIENCE, changed).await.ok_or_else(|| "the policy changes nothing".into())
}

async fn ask(kubeconfig: &Path, release: &Path, method: &str) -> Result<Report, Failed> {
    let entry = json!({"apply": method});
    let environments = Environments::parse("e.yaml", &json!({"environments": {"e": entry}}).to_string())?;
    let options = AccessOptions { kubeconfig: Some(kubeconfig.to_owned()), ..AccessOptions::default() };
    let preflight = Preflight::new(Cluster::resolve(&options)?)
        .environment(environments.get("e")?)
        .manifests(Manifests::from_path(release)?)
        .plugins(preflight_plugins::builtin())
        .known_settings(preflight_plugins::known_settings());
    Ok(preflight.start()?.finish().await)
}

/// Whether the release was really tried out, and met the policies.
fn tried(report: &Report, method: &str) -> Result<(), Failed> {
    let check = report.check("admission").ok_or("the check of admission has run")?;
    let told = serde_json::to_string_pretty(check)?;
    let passed = |rule: &str| {
        let found = check.rules.iter().find(|result| result.rule == format!("admission/{rule}"));
        match &found?.outcome {
            Outcome::Passed { evidence } => evidence.split(' ').next()?.parse::<usize>().ok(),
            _ => None,
        }
    };
    let refused = told.contains("nobody may be called so");
    // What is there is not created.
    let least = if method == "create" { OBJECTS - 6 } else { OBJECTS };
    if refused && passed("invalid") >= Some(least) && passed("pods-refused") >= Some(PODS) {
        return Ok(());
    }
    Err(format!("{method}: it was not tried out: {told}").into())
}

/// Waits until nothing changes any more, and lists it.
async fn quiet(api: &Api) -> Result<Listing, Failed> {
    let seen = std::cell::RefCell::new((list(api).await?, 0));
    let same = async || {
        let now = list(api).await.ok()?;
        let mut seen = seen.borrow_mut();
        let times = if seen.0 == now { seen.1 + 1 } else { 0 };
        *seen = (now.clone(), times);
        (times >= QUIET).then_some(now)
    };
    poll(PATIENCE, same).await.ok_or_else(|| "the cluster does not come to rest".into())
}

/// Lists everything; a new kind cannot be listed at once.
async fn listed(api: &Api) -> Result<Listing, Failed> {
    let listed = poll(PATIENCE, async || list(api).await.ok()).await;
    listed.ok_or_else(|| "not everything can be listed".into())
}

async fn list(api: &Api) -> Result<Listing, Failed> {
    let groups = api.get("/apis").await?;
    let versions = groups["groups"].as_array().into_iter().flatten();
    let versions = versions.filter_map(|group| group["preferredVersion"]["groupVersion"].as_str());
    let bases = versions.map(|version| format!("/apis/{version}")).chain(["/api/v1".to_owned()]);
    let mut all = Listing::new();
    for base in bases {
        let served = api.get(&base).await?;
        let can_list = |kind: &&Value| {
            let mut verbs = kind["verbs"].as_array().into_iter().flatten();
            verbs.any(|verb| verb == "list")
                && kind["name"].as_str().is_some_and(|name| !MOVING.contains(&name))
        };
        for kind in served["resources"].as_array().into_iter().flatten().filter(can_list) {
            let path = format!("{base}/{}", kind["name"].as_str().unwrap_or_default());
            let found = api.get(&path).await?;
            for object in found["items"].as_array().into_iter().flatten() {
                let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
                let place = if text("namespace").is_empty() {
                    String::new()
                } else {
                    format!("{}/", text("namespace"))
                };
                all.insert(format!("{path} {place}{}", text("name")), text("resourceVersion").to_owned());
            }
        }
    }
    Ok(all)
}

fn differences(before: &Listing, after: &Listing) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let differ = names.filter(|name| before.get(*name) != after.get(*name));
    differ.map(|name| format!("{name}: {:?} {:?}", before.get(name), after.get(name))).collect()
}
