//! Random definitions and custom resources: whether Preflight says the same of each as the real API server.
//!
//! `PREFLIGHT_SEED=NUMBER` makes other ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "custom_resources/samples.rs"]
mod samples;
#[path = "custom_resources/schemas.rs"]
mod schemas;
#[path = "custom_resources/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Manifests, Outcome, Preflight};
use preflight_harness::scenario::as_sent;
use preflight_harness::{Api, ApiError, ControlPlane, Options, Test, User, number, poll, run_tests};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The seed where none is given.
const SEED: u64 = 20_260_101;
/// Definitions, objects of each, and objects that are changed.
const DEFINITIONS: usize = 25;
const OBJECTS: usize = 25;
const UPDATES: usize = 120;
/// Schemas that the API server may refuse before this is given up.
const REFUSED: usize = 40;
/// How long the API server may take until it serves a kind.
const PATIENCE: Duration = Duration::from_secs(30);
/// Cases of which one may be undecided.
const DECIDED: usize = 20;
/// Disagreements that are told.
const TOLD: usize = 5;
const GROUP: &str = "random.example.com";
const RULE: &str = "operator-health/custom-resource-invalid";

fn main() -> std::process::ExitCode {
    let test: Test = Box::new(|plane| same_as_server(plane));
    run_tests(Options { bare: true }, [("preflight_says_what_the_api_server_says", test)])
}

/// What is said of an object, and why.
#[derive(Debug, Clone)]
enum Said {
    Accepted,
    Refused(String),
    Undecided(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Undecided(why) => write!(f, "undecided: {why}"),
        }
    }
}

/// An object that is to be created, or what a live one is to become.
#[derive(Debug, Clone)]
struct Case {
    definition: Arc<Value>,
    live: Option<Value>,
    object: Value,
}

impl Case {
    /// kubectl sends whole numbers without their fraction.
    fn sent_whole(self) -> Self {
        Self { object: as_sent(self.object), ..self }
    }

    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap()
    }

    fn schema(&self) -> &Value {
        &self.definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    }
}

fn same_as_server(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let mut rng = Rng::with_seed(seed);
    let kubeconfig = plane.kubeconfig(&User::Admin, "harness")?;
    let mut counts = Counts::default();
    let result = plane.runtime().block_on(async {
        let definitions = define(plane.api(), &mut rng, &mut counts).await?;
        let cases: Vec<Case> = creations(&mut rng, &definitions).into_iter().map(Case::sent_whole).collect();
        let server = ask_server(plane.api(), &cases).await?;
        let accepted: Vec<&Case> = cases
            .iter()
            .zip(&server)
            .filter(|(_, said)| matches!(said, Said::Accepted))
            .map(|(case, _)| case)
            .collect();
        let ours = ask_preflight(&kubeconfig, &cases).await?;
        counts.compare("creations", &cases, &server, &ours);
        let cases = updates(plane.api(), &mut rng, &accepted).await?;
        let server = ask_server(plane.api(), &cases).await?;
        let ours = ask_preflight(&kubeconfig, &cases).await?;
        counts.compare("updates", &cases, &server, &ours);
        Ok::<_, Failed>(())
    });
    writeln!(std::io::stdout(), "seed {seed}: {} schemas were refused\n{}", counts.skipped, counts.table)?;
    result?;
    if !counts.wrong.is_empty() {
        let told = counts.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
        return Err(format!("seed {seed}: {} disagreements\n{told}", counts.wrong.len()).into());
    }
    if counts.undecided * DECIDED > counts.cases {
        return Err(format!("seed {seed}: too much is undecided: {:#?}", counts.why).into());
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    /// Schemas that the API server refused.
    skipped: usize,
    cases: usize,
    undecided: usize,
    why: Vec<String>,
    table: String,
    wrong: Vec<String>,
}

impl Counts {
    fn compare(&mut self, what: &str, cases: &[Case], server: &[Said], ours: &[Said]) {
        let (mut accepted, mut refused, mut undecided) = (0, 0, 0);
        for ((case, server), ours) in cases.iter().zip(server).zip(ours) {
            match (ours, server) {
                (Said::Undecided(why), _) => {
                    undecided += 1;
                    self.why.push(why.clone());
                }
                (Said::Accepted, Said::Accepted) => accepted += 1,
                (Said::Refused(_), Said::Refused(_)) => refused += 1,
                _ => {
                    let live = case.live.as_ref().map(|live| format!("live: {live}\n")).unwrap_or_default();
                    self.wrong.push(format!(
                        "Preflight: {ours}\nAPI server: {server}\nschema: {}\n{live}object: {}\n",
                        case.schema(),
                        case.object
                    ));
                }
            }
        }
        self.cases += cases.len();
        self.undecided += undecided;
        let _ = writeln!(
            self.table,
            "{what}: {} cases, {accepted} accepted, {refused} refused, {undecided} undecided",
            cases.len()
        );
    }
}

/// Creates definitions until there are enough, and waits until the kinds are served.
async fn define(api: &Api, rng: &mut Rng, counts: &mut Counts) -> Result<Vec<Arc<Value>>, Failed> {
    let mut definitions = Vec::new();
    while definitions.len() < DEFINITIONS {
        let definition = schemas::definition(rng, GROUP, definitions.len());
        match api.create(&definition).await {
            Ok(_) => definitions.push(Arc::new(definition)),
            Err(ApiError { code: 422, .. }) if counts.skipped < REFUSED => counts.skipped += 1,
            Err(error) => return Err(format!("{error}: {definition}").into()),
        }
    }
    for definition in &definitions {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let list = format!("/apis/{GROUP}/v1/{}", definition["spec"]["names"]["plural"].as_str().unwrap());
        // It is served, and discovery tells of it.
        let served = async || {
            api.get(&list).await.ok()?;
            api.path(&object(definition, "x")).await.ok()
        };
        poll(PATIENCE, served).await.ok_or_else(|| format!("{name} is not established"))?;
    }
    Ok(definitions)
}

/// An object with nothing in it.
fn object(definition: &Value, name: &str) -> Value {
    let mut metadata = json!({"name": name});
    if definition["spec"]["scope"] == "Namespaced" {
        metadata["namespace"] = json!("default");
    }
    let kind = &definition["spec"]["names"]["kind"];
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata})
}

/// Objects that fit, and such with one change.
fn creations(rng: &mut Rng, definitions: &[Arc<Value>]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, definition) in definitions.iter().enumerate() {
        for at in 0..OBJECTS {
            let object = object(definition, &format!("o-{kind}-{at}"));
            let mut case = Case { definition: Arc::clone(definition), live: None, object };
            let fields = case.schema()["properties"].as_object().cloned().unwrap_or_default();
            for (name, field) in fields.iter().filter(|(name, _)| *name != "metadata") {
                if name == "spec" || rng.bool() {
                    case.object[name] = values::fitting(rng, field);
                }
            }
            if at % 3 != 0 {
                let schema = case.schema().clone();
                values::mutate(rng, &schema, &mut case.object, false);
            }
            cases.push(case);
        }
    }
    cases
}

/// Creates some of the accepted objects, and changes them.
async fn updates(api: &Api, rng: &mut Rng, accepted: &[&Case]) -> Result<Vec<Case>, Failed> {
    let mut chosen = accepted.to_vec();
    rng.shuffle(&mut chosen);
    chosen.truncate(UPDATES);
    let mut cases = Vec::new();
    for case in chosen {
        let live = api.create(&case.object).await.map_err(|error| format!("{error}: {}", case.object))?;
        let mut case = Case { live: Some(live), ..case.clone() };
        let schema = case.schema().clone();
        for _ in 0..rng.u32(1..3) {
            values::mutate(rng, &schema, &mut case.object, true);
        }
        cases.push(case.sent_whole());
    }
    Ok(cases)
}

/// What the API server says of a trial, kind by kind at once.
async fn ask_server(api: &Api, cases: &[Case]) -> Result<Vec<Said>, Failed> {
    let mut asking = JoinSet::new();
    for (at, case) in cases.iter().cloned().enumerate() {
        let api = api.clone();
        asking.spawn(async move {
            let answer = match case.live {
                None => api.dry_run_strictly(&case.object).await,
                Some(_) => match api.path(&case.object).await {
                    Err(error) => Err(error),
                    Ok(path) => {
                        let path = format!("{path}?dryRun=All&fieldValidation=Strict");
                        api.merge(&path, &case.object).await
                    }
                },
            };
            match answer {
                Ok(_) => Ok((at, Said::Accepted)),
                Err(ApiError { code: 400 | 422, message }) => Ok((at, Said::Refused(message))),
                Err(error) => Err(format!("{error}: {}", case.object)),
            }
        });
    }
    let mut said = BTreeMap::new();
    while let Some(answer) = asking.join_next().await {
        let (at, one) = answer??;
        said.insert(at, one);
    }
    Ok(said.into_values().collect())
}

/// What Preflight says: what has no finding is accepted, unless the rule is unknown because of it. Of those an outcome
/// names the first, so it is asked again without that one.
async fn ask_preflight(kubeconfig: &Path, cases: &[Case]) -> Result<Vec<Said>, Failed> {
    let all: Vec<&Case> = cases.iter().collect();
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    let (refused, _) = run(kubeconfig, &all).await?;
    said.extend(refused.into_iter().map(|(name, why)| (name, Said::Refused(why))));
    let mut kinds: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !said.contains_key(case.name())) {
        kinds.entry(case.object["kind"].as_str().unwrap()).or_default().push(case);
    }
    for mut rest in kinds.into_values() {
        while !rest.is_empty() {
            let (refused, unknown) = run(kubeconfig, &rest).await?;
            if !refused.is_empty() {
                return Err(format!("refused only now: {refused:?}").into());
            }
            let Some(why) = unknown else { break };
            let named = why.split([':', ',']).next().map(name_of);
            let at = rest.iter().position(|case| Some(case.name()) == named);
            let undecided = rest.remove(at.ok_or_else(|| format!("names no object: {why}"))?);
            said.insert(undecided.name().to_owned(), Said::Undecided(why));
        }
    }
    Ok(cases.iter().map(|case| said.get(case.name()).cloned().unwrap_or(Said::Accepted)).collect())
}

/// The name at the end of `Kind namespace/name`.
fn name_of(id: &str) -> &str {
    id.rsplit([' ', '/']).next().unwrap_or_default()
}

/// Findings by the names of objects, and why the rule is unknown.
async fn run(
    kubeconfig: &Path,
    cases: &[&Case],
) -> Result<(BTreeMap<String, String>, Option<String>), Failed> {
    let text = cases.iter().map(|case| case.object.to_string()).collect::<Vec<_>>().join("\n---\n");
    let options = AccessOptions { kubeconfig: Some(kubeconfig.to_owned()), ..AccessOptions::default() };
    let report = Preflight::new(Cluster::resolve(&options).unwrap())
        .manifests(Manifests::parse("objects.yaml", &text).map_err(|error| error.to_string())?)
        .plugins(preflight_plugins::builtin())
        .only(["operator-health".to_owned()])
        .start()
        .unwrap()
        .finish()
        .await;
    let check = report.check("operator-health").ok_or("it was not checked")?;
    let findings = check.findings.iter().filter(|finding| finding.rule == RULE);
    let refused: BTreeMap<_, _> = findings
        .map(|finding| (name_of(&finding.subject.name).to_owned(), finding.message.clone()))
        .collect();
    let outcome = check.rules.iter().find(|rule| rule.rule == RULE).map(|rule| &rule.outcome);
    match outcome {
        Some(Outcome::Failed) if !refused.is_empty() => Ok((refused, None)),
        Some(Outcome::Passed { .. }) => Ok((refused, None)),
        Some(Outcome::Unknown { why, .. }) => Ok((refused, Some(why.clone()))),
        other => Err(format!("the rule is {other:?}").into()),
    }
}
