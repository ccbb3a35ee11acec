//! What ValidatingAdmissionPolicies decide, and what Preflight says that they will.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Environments, Manifests, Outcome, Preflight, Severity};
use preflight_harness::{Api, ControlPlane, User, number, poll};
use serde_json::{Value, json};

use super::{CASES, SEED, TOLD, expressions, objects};

/// Policies that are there at the same time.
const CROWD: usize = 50;
const RULE: &str = "admission/policy";
/// Of a hundred pairs, so many may stay open.
const OPEN: usize = 2;

/// An object, and what the API server decides about it.
struct Pair {
    object: Value,
    policy: Value,
    /// Its words, if it refuses.
    refusal: Option<String>,
    is_update: bool,
}

#[derive(Default)]
struct Counts {
    compared: usize,
    refused: usize,
    updates: usize,
    open: BTreeMap<String, usize>,
    not_made: usize,
    wrong: Vec<String>,
}

pub fn policies(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES), usize::try_from)?;
    let mut rng = Rng::with_seed(seed);
    let mut counts = Counts::default();
    let kubeconfig = plane.kubeconfig(&User::Admin, "policies")?;
    plane.runtime().block_on(async {
        let api = plane.api();
        keep_parameters(api).await?;
        let mut crowd = 0;
        while counts.compared + counts.open.values().sum::<usize>() < cases {
            let namespace = format!("policies-{crowd}");
            let pairs = pairs(api, &mut rng, &namespace, crowd, &mut counts).await?;
            for pair in &pairs {
                let said = run(&kubeconfig, &pair.object).await?;
                counts.compare(pair, said);
            }
            for pair in &pairs {
                for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
                    let name = pair.policy["metadata"]["name"].as_str().unwrap_or_default();
                    api.delete(&format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}")).await?;
                }
            }
            crowd += 1;
        }
        Ok::<_, Failed>(())
    })?;
    let open: usize = counts.open.values().sum();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "seed {seed}: {} pairs decided, {} of them refused, {} of them updates; {open} open, {} policies are none, {} otherwise",
        counts.compared,
        counts.refused,
        counts.updates,
        counts.not_made,
        counts.wrong.len()
    )?;
    for (why, count) in &counts.open {
        writeln!(out, "{count:>5} {why}")?;
    }
    if !counts.wrong.is_empty() {
        let told = counts.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
        return Err(format!("seed {seed}: {} disagreements\n{told}", counts.wrong.len()).into());
    }
    if open * 100 > (counts.compared + open) * OPEN {
        return Err(format!("seed {seed}: {open} pairs are open").into());
    }
    Ok(())
}

/// Makes policies, waits until they are in force, and asks about an object of each.
async fn pairs(
    api: &Api,
    rng: &mut Rng,
    namespace: &str,
    crowd: usize,
    counts: &mut Counts,
) -> Result<Vec<Pair>, Failed> {
    let labels = if rng.bool() { json!({"stage": "test"}) } else { json!({}) };
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "params", "namespace": namespace,
            "labels": {"params": "yes"}}, "data": {"most": "3", "prefix": "o"}}),
    ] {
        api.create(&object).await?;
    }
    let mut asked = Vec::new();
    for at in 0..CROWD {
        let name = format!("p{crowd}-{at}");
        let mut object = objects::object(rng, namespace, crowd * CROWD + at);
        object["metadata"]["labels"]["pair"] = name.clone().into();
        let [policy, binding] = expressions::policy(rng, &name, &object);
        // One that does not fit its types is none.
        if api.create(&policy).await.is_err() {
            counts.not_made += 1;
            continue;
        }
        api.create(&binding).await?;
        let is_update = rng.u8(0..4) == 0 && changeable(&object);
        asked.push((object, policy, is_update));
    }
    for (object, _, is_update) in &mut asked {
        if *is_update {
            // What is there was made before the policy looked at it.
            let mut before = object.clone();
            before["metadata"]["labels"].as_object_mut().ok_or("labels")?.remove("pair");
            before["metadata"]["labels"]["app"] = "old".into();
            api.create(&before).await?;
        }
    }
    in_force(api, namespace, crowd).await?;
    let mut pairs = Vec::new();
    for (object, policy, is_update) in asked {
        let answer = match is_update {
            true => api.try_patch(&api.path(&object).await?, &object).await,
            false => api.dry_run(&object).await,
        };
        let refusal = answer.err().map(|error| error.to_string());
        pairs.push(Pair { object, policy, refusal, is_update });
    }
    Ok(pairs)
}

/// Kinds whose objects can be made here for good.
fn changeable(object: &Value) -> bool {
    ["ConfigMap", "Service", "Ingress", "NetworkPolicy", "Deployment", "PodDisruptionBudget"]
        .contains(&object["kind"].as_str().unwrap_or_default())
}

/// A policy with parameters that stays: once the last one that is bound is gone, the API server finds no parameters any more for those
/// that come later (v1.36.3).
async fn keep_parameters(api: &Api) -> Result<(), Failed> {
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "true"}],
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nodes"]}]}});
    api.create(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "stays"}, "spec": spec}))
        .await?;
    let bound = json!({"policyName": "stays", "validationActions": ["Deny"], "paramRef":
        {"name": "params", "parameterNotFoundAction": "Deny"}});
    api.create(
        &json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "stays"}, "spec": bound}),
    )
    .await?;
    Ok(())
}

/// Waits for a policy that was made after the others, and for its parameters.
async fn in_force(api: &Api, namespace: &str, crowd: usize) -> Result<(), Failed> {
    let name = format!("last-{crowd}");
    let spec = json!({"failurePolicy": "Fail", "validations": [{"expression": "params == null"}],
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConstraints": {
        "objectSelector": {"matchLabels": {"pair": name}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]}});
    let bound = json!({"policyName": name, "validationActions": ["Deny"], "paramRef":
        {"name": "params", "parameterNotFoundAction": "Deny"}});
    for (kind, spec) in [("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", bound)] {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        api.create(&object).await?;
    }
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
        {"name": "probe", "namespace": namespace, "labels": {"pair": name}}});
    let mut last = String::new();
    let refused = poll(Duration::from_secs(30), async || {
        last = api.dry_run(&probe).await.err().map(|error| error.to_string()).unwrap_or_default();
        last.contains("params == null").then_some(())
    });
    if refused.await.is_none() {
        return Err(format!("the policies do not come into force: {last}").into());
    }
    for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
        api.delete(&format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}")).await?;
    }
    Ok(())
}

/// What Preflight says of an object.
enum Said {
    Taken,
    Refused(String),
    Open(String),
}

async fn run(kubeconfig: &Path, object: &Value) -> Result<Said, Failed> {
    let options = AccessOptions { kubeconfig: Some(kubeconfig.to_owned()), ..AccessOptions::default() };
    // Nothing is added to what is written.
    let environments = "environments: {test: {apply: helm, admission: {dry_run: never}}}";
    let environments =
        Environments::parse("environments.yaml", environments).map_err(|error| error.to_string())?;
    let report = Preflight::new(Cluster::resolve(&options).map_err(|error| error.to_string())?)
        .environment(environments.get("test").map_err(|error| error.to_string())?)
        .manifests(Manifests::parse("object.yaml", &object.to_string()).map_err(|error| error.to_string())?)
        .plugins(preflight_plugins::builtin())
        .only(["admission".to_owned()])
        .start()
        .map_err(|error| error.to_string())?
        .finish()
        .await;
    let check = report.check("admission").ok_or("it was not checked")?;
    let mut findings = check.findings.iter().filter(|finding| finding.rule == RULE);
    let failed = findings.find(|finding| finding.severity != Severity::Warning);
    let outcome = check.rules.iter().find(|rule| rule.rule == RULE).map(|rule| &rule.outcome);
    Ok(match (failed, outcome) {
        (Some(finding), _) => Said::Refused(finding.message.clone()),
        (None, Some(Outcome::Unknown { why, .. })) => Said::Open(why.clone()),
        (None, Some(Outcome::Passed { .. } | Outcome::Warning | Outcome::NotApplicable { .. })) => {
            Said::Taken
        }
        (None, other) => return Err(format!("the rule is {other:?}").into()),
    })
}

impl Counts {
    fn compare(&mut self, pair: &Pair, said: Said) {
        let told = |ours: &str| {
            format!(
                "{}\n  {}\n  server: {:?}\n  ours:   {ours}",
                pair.object, pair.policy["spec"], pair.refusal
            )
        };
        match (&pair.refusal, said) {
            (_, Said::Open(why)) => {
                let reason = why.rsplit(": ").next().unwrap_or_default().to_owned();
                *self.open.entry(reason).or_default() += 1;
                return;
            }
            (None, Said::Taken) => {}
            (Some(theirs), Said::Refused(ours)) if same_words(theirs, &ours) => self.refused += 1,
            (_, Said::Taken) => self.wrong.push(told("taken")),
            (_, Said::Refused(ours)) => self.wrong.push(told(&ours)),
        }
        self.compared += 1;
        self.updates += usize::from(pair.is_update);
    }
}

/// Whether the message is the same. Errors are told in other words.
fn same_words(theirs: &str, ours: &str) -> bool {
    let theirs = theirs.split_once("denied request: ").map(|(_, words)| words);
    let ours = ours.split_once(" says: ").map(|(_, words)| words);
    match (theirs, ours) {
        (Some(theirs), Some(ours)) => {
            let error = " resulted in error: ";
            theirs.contains(error) && ours.contains(error) || theirs == ours
        }
        _ => false,
    }
}
