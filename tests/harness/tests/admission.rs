//! What the API server decides about random objects, and what Preflight says of them without asking.
//!
//! `PREFLIGHT_SEED=NUMBER` makes other ones, `PREFLIGHT_CASES=5000` more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "admission/changes.rs"]
mod changes;
#[path = "admission/completion.rs"]
mod completion;
#[path = "admission/expressions.rs"]
mod expressions;
#[path = "admission/fields.rs"]
mod fields;
#[path = "admission/objects.rs"]
mod objects;
#[path = "admission/pods.rs"]
mod pods;
#[path = "admission/policies.rs"]
mod policies;

use std::collections::BTreeMap;
use std::io::Write as _;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_harness::{Api, ControlPlane, Options, Test, number, run_tests};
use preflight_plugins::admission::pod_security::Policy;
use preflight_plugins::labels;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The seed where none is given, and the number of cases.
const SEED: u64 = 20_260_301;
const CASES: usize = 1000;
/// Pods that are asked about in one namespace.
const CROWD: usize = 20;
/// Disagreements that are told.
const TOLD: usize = 5;
/// What comes before the words of PodSecurity.
const FORBIDDEN: &str = " is forbidden: ";

fn main() -> std::process::ExitCode {
    let tests: [(&str, Test); 4] = [
        ("pod_security_says_what_the_api_server_says", Box::new(|plane| pod_security(plane))),
        ("fields_are_decoded_as_by_the_api_server", Box::new(|plane| fields::fields(plane))),
        ("policies_decide_as_the_api_server_does", Box::new(|plane| policies::policies(plane))),
        ("objects_are_as_the_api_server_makes_them", Box::new(|plane| completion::completion(plane))),
    ];
    run_tests(Options { bare: true }, tests)
}

fn pod_security(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES), usize::try_from)?;
    let mut rng = Rng::with_seed(seed);
    let mut counts = Counts::default();
    plane.runtime().block_on(async {
        for crowd in 0..cases.div_ceil(CROWD) {
            let namespace = namespace(plane.api(), &mut rng, crowd).await?;
            let policy = Policy::of(&labels::of(&namespace)).0;
            let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
            let mut asking = JoinSet::new();
            for _ in 0..CROWD.min(cases - crowd * CROWD) {
                let mut pod = pods::pod(&mut rng);
                pod["metadata"]["namespace"] = name.into();
                let api = plane.api().clone();
                asking.spawn(async move { (api.dry_run(&pod).await, pod) });
            }
            while let Some(done) = asking.join_next().await {
                let (answer, pod) = done?;
                counts.compare(answer.err().map(|error| error.to_string()), &policy, &pod);
            }
        }
        Ok::<_, Failed>(())
    })?;
    writeln!(std::io::stdout(), "seed {seed}: {} pods are taken, {} refused", counts.taken, counts.refused)?;
    for (reason, count) in &counts.reasons {
        writeln!(std::io::stdout(), "{count:>5} {reason}")?;
    }
    if counts.wrong.is_empty() {
        return Ok(());
    }
    let told = counts.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
    Err(format!("seed {seed}: {} disagreements\n{told}", counts.wrong.len()).into())
}

/// Makes a namespace that enforces something; a fresh one, for changed labels are only seen after a while.
async fn namespace(api: &Api, rng: &mut Rng, number: usize) -> Result<Value, Failed> {
    let (level, version) = pods::level_and_version(rng);
    let name = format!("pods-{number}");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
        "pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": version}}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
    api.create(&namespace).await?;
    api.create(&account).await?;
    Ok(namespace)
}

#[derive(Default)]
struct Counts {
    taken: usize,
    refused: usize,
    /// How often each check is broken.
    reasons: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Counts {
    fn compare(&mut self, answer: Option<String>, policy: &Policy, pod: &Value) {
        for violation in policy.enforced(&pod["metadata"], &pod["spec"]) {
            *self.reasons.entry(violation.reason).or_default() += 1;
        }
        let ours = policy.refusal(&pod["metadata"], &pod["spec"]);
        match &answer {
            None => self.taken += 1,
            Some(_) => self.refused += 1,
        }
        let words =
            answer.as_deref().map(|answer| answer.split_once(FORBIDDEN).map_or(answer, |(_, words)| words));
        if words != ours.as_deref() {
            self.wrong.push(format!("{pod}\n  server: {words:?}\n  ours:   {ours:?}"));
        }
    }
}
