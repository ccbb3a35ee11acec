//! Every scenario, against the real control plane: what Preflight says, and what then happens.
//!
//! `PREFLIGHT_SCENARIOS=FOLDER` runs the scenarios of another folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use preflight_core::cluster::{AccessOptions, ReadOf};
use preflight_core::{Cluster, Consequence, Decision, Environments, Manifests, Preflight, Report, Severity};
use preflight_harness::scenario::{ApiServer, Scenario, Verdict};
use preflight_harness::{ControlPlane, Options, Row, Unavailable, print_table, reset};
use serde_json::json;

/// Control planes at once. Most of a scenario is waiting.
const PLANES: usize = 2;

/// A control plane that scenarios share, one after the other.
type Slot = Mutex<Option<Result<ControlPlane, Unavailable>>>;
type Shared = Arc<[Slot; PLANES]>;

/// One that nobody has. There are as many as there are threads.
fn free(shared: &Shared) -> MutexGuard<'_, Option<Result<ControlPlane, Unavailable>>> {
    loop {
        for slot in shared.iter() {
            match slot.try_lock() {
                Ok(slot) => return slot,
                Err(TryLockError::Poisoned(slot)) => return slot.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        std::thread::yield_now();
    }
}

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(PLANES);
    let folder = std::env::var_os("PREFLIGHT_SCENARIOS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"), PathBuf::from);
    let scenarios = Scenario::load_all(&folder).expect("the scenarios can be read");
    let (shared, rows): (Shared, _) = (Arc::default(), Arc::new(Mutex::new(Vec::<Row>::new())));
    let trials = scenarios.into_iter().map(|scenario| {
        let (shared, rows) = (Arc::clone(&shared), Arc::clone(&rows));
        let name = scenario.name.clone();
        Trial::ignorable_test(name, move || trial(&scenario, &shared, &rows))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // They are stopped before the process ends.
    for slot in shared.iter() {
        drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    let mut rows = rows.lock().unwrap();
    rows.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    if !rows.is_empty() {
        print_table(&rows, &mut std::io::stdout()).expect("the table can be written");
    }
    std::io::stdout().flush().expect("the table can be written");
    conclusion.exit_code()
}

fn trial(scenario: &Scenario, shared: &Shared, rows: &Mutex<Vec<Row>>) -> Result<Completion, Failed> {
    let outcome = match scenario.expect.api_server {
        ApiServer::Normal => {
            let mut slot = free(shared);
            let plane = slot.get_or_insert_with(|| {
                let plane = ControlPlane::start(&Options::default())?;
                plane.runtime().block_on(grant_reads(&plane));
                Ok(plane)
            });
            plane.as_mut().map_err(|error| error.clone()).map(|plane| perform(scenario, plane))
        }
        other => {
            let options = Options { bare: true };
            ControlPlane::start(&options).map(|mut plane| {
                let scenario = &scenario.filled(&plane)?;
                plane.runtime().block_on(scenario.make_state(&plane))?;
                match other {
                    ApiServer::AlwaysDeny => plane.restart_with(&["AlwaysDeny"])?,
                    _ => plane.stop_api_server()?,
                }
                perform(scenario, &mut plane)
            })
        }
    };
    let row = match outcome {
        Err(unavailable) => return unavailable.completion(),
        Ok(row) => row?,
    };
    let wrong = row.wrong.join("\n");
    rows.lock().unwrap().push(row);
    if wrong.is_empty() { Ok(Completion::Completed) } else { Err(wrong.into()) }
}

/// Grants the deployer what the checks read beyond what is looked at for permissions, as `preflight rbac` would have it:
/// what scenarios are about is what it may do to the release's objects.
async fn grant_reads(plane: &ControlPlane) {
    let plugins = preflight_plugins::builtin();
    let descriptors = plugins.iter().map(|plugin| plugin.descriptor());
    let beyond: Vec<_> = descriptors.filter(|check| check.name() != "cluster-connectivity").collect();
    // Those that the manifests name are granted by name.
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    let rules: Vec<_> = beyond
        .iter()
        .flat_map(|check| check.all_reads())
        .filter_map(|read| match read.of() {
            ReadOf::Resource(resource) => Some(json!({
                "apiGroups": [resource.group], "resources": [resource.plural], "verbs": [read.verb()],
            })),
            _ => None,
        })
        .chain([secrets])
        .collect();
    // What has such a name is not removed between scenarios.
    let name = "system:preflight-reads";
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "deployer"}],
    });
    for object in [role, binding] {
        plane.api().create(&object).await.expect("the role can be made");
    }
}

fn perform(scenario: &Scenario, plane: &mut ControlPlane) -> std::io::Result<Row> {
    let scenario = &scenario.filled(plane)?;
    let usual = scenario.expect.api_server == ApiServer::Normal;
    if usual {
        plane.runtime().block_on(async {
            reset(plane.api()).await;
            scenario.make_state(plane).await
        })?;
    }
    let kubeconfig = plane.kubeconfig(&scenario.expect.identity.user(), "harness")?;
    let report = plane.runtime().block_on(run(scenario, plane, &kubeconfig));
    let landing = match scenario.expect.api_server {
        ApiServer::Stopped => None,
        _ => Some(plane.runtime().block_on(scenario.land(plane))?),
    };
    Ok(scenario.judge(&verdict_of(&report), landing.as_ref()))
}

async fn run(scenario: &Scenario, plane: &ControlPlane, kubeconfig: &Path) -> Report {
    let entry = scenario.environment_on(plane).unwrap();
    let environment = json!({"environments": {"scenario": entry}});
    let environments = Environments::parse("environment.yaml", &environment.to_string()).unwrap();
    let options = AccessOptions { kubeconfig: Some(kubeconfig.to_owned()), ..AccessOptions::default() };
    let mut preflight = Preflight::new(Cluster::resolve(&options).unwrap())
        .environment(environments.get("scenario").unwrap())
        .manifests(Manifests::from_path(scenario.manifests()).unwrap())
        .plugins(preflight_plugins::builtin())
        .known_settings(preflight_plugins::known_settings())
        // A bare control plane has no registries.
        .offline(plane.images().is_none());
    if let Some(namespace) = &scenario.expect.namespace {
        preflight = preflight.namespace(namespace);
    }
    preflight.start().unwrap().finish().await
}

fn verdict_of(report: &Report) -> Verdict {
    let findings = || report.checks.iter().flat_map(|check| &check.findings);
    Verdict {
        decision: match report.verdict.decision {
            Decision::Go => "go".to_owned(),
            Decision::NoGo => "no-go".to_owned(),
            _ => "unknown".to_owned(),
        },
        headline: report.verdict.headline.clone(),
        findings: findings().map(|finding| finding.rule.clone()).collect(),
        unknown: report.verdict.unknown.clone(),
        wont_land: findings().any(|finding| {
            finding.severity == Severity::Failed && finding.consequence == Consequence::WontLand
        }),
    }
}
