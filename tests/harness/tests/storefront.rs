//! The bundled example, against the real control plane: the verdict is right, a snapshot says the same as the
//! cluster, and a stopped API server is told as what it is. And of another release: trying it out keeps nothing.
//!
//! `PREFLIGHT_RECORD=1` writes the bundled snapshot anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "storefront/kept.rs"]
mod kept;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::snapshot::{Recorder, Snapshot};
use preflight_core::{Cluster, Decision, Environments, Manifests, Outcome, Preflight, Report, Status};
use preflight_harness::scenario::{documents, folder_documents, make_cluster};
use preflight_harness::{
    Apply, ControlPlane, Options, Test, User, apply, namespaces_gone, reset, run_tests, settle,
};

fn main() -> std::process::ExitCode {
    let tests: [(_, Test); 5] = [
        ("the_storefront_may_go_and_lands", Box::new(lands)),
        ("a_snapshot_says_the_same_as_the_cluster", Box::new(snapshot_says_the_same)),
        ("the_bundled_snapshot_says_what_the_cluster_says", Box::new(bundled_snapshot)),
        ("trying_a_release_out_keeps_nothing", Box::new(kept::nothing_is_kept)),
        // The last one, for it stops it.
        ("zz_with_the_api_server_stopped_one_thing_fails", Box::new(stopped)),
    ];
    run_tests(Options::default(), tests)
}

fn example(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/storefront").join(below)
}

fn preflight(cluster: Cluster) -> Preflight {
    Preflight::new(cluster)
        .environment(Environments::from_path(example("environments.yaml")).unwrap().get("dev").unwrap())
        .manifests(Manifests::from_path(example("manifests")).unwrap())
        .plugins(preflight_plugins::builtin())
        .known_settings(preflight_plugins::known_settings())
}

fn live(plane: &ControlPlane) -> Cluster {
    let kubeconfig = plane.kubeconfig(&User::Admin, "k3d-ameide").unwrap();
    let options = AccessOptions {
        kubeconfig: Some(kubeconfig),
        context: Some("k3d-ameide".into()),
        ..AccessOptions::default()
    };
    Cluster::resolve(&options).unwrap()
}

fn make_state(plane: &ControlPlane) {
    let manifests = folder_documents(&example("manifests")).unwrap();
    plane.images().expect("it has nodes").publish(&example(""), &manifests).unwrap();
    plane.runtime().block_on(async {
        reset(plane.api()).await;
        namespaces_gone(plane.api()).await;
        make_cluster(plane.api(), &documents(&example("cluster.yaml")).unwrap()).await.unwrap();
    });
}

/// What came of each rule, by check.
type Outcomes = BTreeMap<String, Vec<(String, Outcome)>>;

/// What a report says, without times, the access path, and what was tried out: a snapshot cannot be written to.
fn essence(report: &Report) -> (Decision, Outcomes) {
    let server = report.facts.cluster.server.clone().unwrap_or_default();
    let outcome = |rule: &str, outcome: &Outcome| {
        let text = serde_json::to_string(outcome).unwrap().replace(&server, "SERVER");
        // Objects are as many, whoever looked at them.
        let text = match outcome {
            Outcome::Passed { evidence } if rule.starts_with("admission/field-") => {
                text.replace(evidence, evidence.split(' ').next().unwrap_or_default())
            }
            _ => text,
        };
        serde_json::from_str(&text).unwrap()
    };
    let rules = report.checks.iter().map(|check| {
        let rules = check.rules.iter().map(|rule| (rule.rule.clone(), outcome(&rule.rule, &rule.outcome)));
        // Clocks and expiry are of the access path.
        let of_access = ["cluster-connectivity/clock-skew", "cluster-connectivity/credentials-expiring"];
        let of_trials =
            ["refused", "invalid", "pods-refused", "warned"].map(|rule| format!("admission/{rule}"));
        let kept = |rule: &String| !of_access.contains(&rule.as_str()) && !of_trials.contains(rule);
        (check.name.clone(), rules.filter(|(rule, _)| kept(rule)).collect())
    });
    (report.verdict.decision, rules.collect())
}

fn lands(plane: &mut ControlPlane) -> Result<(), Failed> {
    make_state(plane);
    let cluster = live(plane);
    let report = plane.runtime().block_on(async { preflight(cluster).start().unwrap().finish().await });
    if report.verdict.decision != Decision::Go {
        return Err(report.verdict.headline.into());
    }
    let objects = folder_documents(&example("manifests")).unwrap();
    let landing = plane.runtime().block_on(async {
        let applied = apply(plane.api(), &objects, Apply::Client, None).await;
        settle(plane.api(), &applied, Duration::from_secs(120)).await
    });
    if landing.landed { Ok(()) } else { Err(landing.why.join("\n").into()) }
}

fn snapshot_says_the_same(plane: &mut ControlPlane) -> Result<(), Failed> {
    make_state(plane);
    // Once before anything is applied, and once with everything there.
    for applied_before in [false, true] {
        if applied_before {
            let objects = folder_documents(&example("manifests")).unwrap();
            plane.runtime().block_on(async {
                let applied = apply(plane.api(), &objects, Apply::Client, None).await;
                settle(plane.api(), &applied, Duration::from_secs(120)).await
            });
        }
        let recorder = Recorder::new();
        let cluster = live(plane);
        let run = preflight(cluster.clone()).recorder(recorder.clone());
        let of_cluster = plane.runtime().block_on(async { run.start().unwrap().finish().await });
        let mut file = Vec::new();
        recorder.write(&cluster, "2026-01-01T00:00:00Z", &mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        for secret in ["placeholder-replace-me", "token-canary", "welcome to"] {
            assert!(!text.contains(secret), "{secret} is in the snapshot");
        }
        let snapshot = Snapshot::parse("snapshot.yaml", &text).unwrap();
        let run = preflight(Cluster::from_snapshot(snapshot));
        let of_snapshot = plane.runtime().block_on(async { run.start().unwrap().finish().await });
        assert_eq!(essence(&of_cluster), essence(&of_snapshot));
        if std::env::var_os("PREFLIGHT_RECORD").is_some() && !applied_before {
            let stable = text.replace(plane.server(), "https://127.0.0.1:6443");
            std::fs::write(example("cluster.snapshot.yaml"), stable).unwrap();
        }
    }
    Ok(())
}

fn bundled_snapshot(plane: &mut ControlPlane) -> Result<(), Failed> {
    make_state(plane);
    let of_cluster =
        plane.runtime().block_on(async { preflight(live(plane)).start().unwrap().finish().await });
    let bundled = Snapshot::from_path(example("cluster.snapshot.yaml")).unwrap();
    let run = preflight(Cluster::from_snapshot(bundled));
    let of_bundled = plane.runtime().block_on(async { run.start().unwrap().finish().await });
    assert_eq!(essence(&of_cluster), essence(&of_bundled), "record it anew with PREFLIGHT_RECORD=1");
    Ok(())
}

fn stopped(plane: &mut ControlPlane) -> Result<(), Failed> {
    plane.stop_api_server().unwrap();
    let cluster = live(plane);
    let report = plane.runtime().block_on(async { preflight(cluster).start().unwrap().finish().await });
    let check = report.check("cluster-connectivity").unwrap();
    assert_eq!(check.status, Status::Failed);
    assert!(check.message.contains("Cannot connect to"), "{}", check.message);
    assert!(check.remediation.as_deref().unwrap_or_default().contains("kubectl cluster-info"));
    assert_eq!(report.exit_code(false), 3);
    let failures: Vec<_> =
        report.checks.iter().flat_map(|check| check.failures()).map(|f| f.rule.as_str()).collect();
    assert_eq!(failures, ["cluster-connectivity/unreachable"]);
    assert_eq!(report.verdict.unknown, Vec::<String>::new());
    Ok(())
}
