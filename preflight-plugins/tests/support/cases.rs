//! A check, a cluster that answers as it is told, and what must come of it.
#![allow(clippy::print_stdout, reason = "the table is printed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::{Decision, Environments, Manifests, Outcome, Preflight, Report};
use serde_json::{Value, json};

use super::{Answer, ApiServer, Asked, id, ok, status, told};

/// A state of the cluster, and what is expected of it.
pub struct Case {
    check: &'static str,
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

impl Case {
    /// A check is asked about a release, and all is well: the verdict is GO.
    pub fn new(
        check: &'static str,
        name: impl Into<String>,
        answers: BTreeMap<String, Answer>,
        release: Vec<Value>,
    ) -> Self {
        Self {
            check,
            name: name.into(),
            answers,
            release,
            environment: json!({}),
            decision: Decision::Go,
            outcomes: Vec::new(),
            passed: Vec::new(),
            unasked: Vec::new(),
            says: None,
        }
    }

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

    /// What is not there.
    pub fn lacks(self, path: &str) -> Self {
        self.answers(path, status(404, "not found"))
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

    /// These, and no others of all that there are.
    pub fn unknown_alone(self, rules: &[&'static str], all: &[&'static str]) -> Self {
        let others: Vec<_> = all.iter().copied().filter(|rule| !rules.contains(rule)).collect();
        self.unknown(rules).passes(&others)
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

    /// What the report says somewhere.
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
        let whole = serde_json::to_value(&report).unwrap();
        if let Some(text) = case.says.filter(|text| !is_said(&whole, text)) {
            wrong.push(format!("{name}: nothing says {text:?}: {}", report.verdict.headline));
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
        // What one method is answered may have a path of its own, too.
        let of_method = format!("{} {page}", asked.method);
        answers
            .get(&of_method)
            .or_else(|| answers.get(&page))
            .cloned()
            .unwrap_or_else(|| status(404, "not found"))
    }))
    .await;
    let environment = json!({"environments": {"e": case.environment}});
    let environments = Environments::parse("e.yaml", &environment.to_string()).unwrap();
    let text = case.release.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let report = Preflight::new(api.cluster())
        .environment(environments.get("e").unwrap())
        .manifests(Manifests::parse("a.yaml", &text).unwrap())
        .plugins(preflight_plugins::builtin())
        .only([case.check.to_owned()])
        .start()
        .unwrap()
        .finish()
        .await;
    let asked = log.lock().unwrap().clone();
    (report, asked)
}

fn is_said(value: &Value, text: &str) -> bool {
    match value {
        Value::String(said) => said.contains(text),
        Value::Array(items) => items.iter().any(|item| is_said(item, text)),
        Value::Object(fields) => fields.values().any(|field| is_said(field, text)),
        _ => false,
    }
}

fn passed(report: &Report) -> Vec<String> {
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    let passed = rules.filter(|rule| matches!(rule.outcome, Outcome::Passed { .. }));
    passed.map(|rule| id(&rule.rule)).collect()
}

pub fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "metadata": {}, "items": items})
}

/// What `/api` or `/apis` says.
#[allow(dead_code, reason = "not every test needs it")]
pub fn discovery(groups: &[Value]) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "items": groups})
}

/// Kinds that have no namespaces.
const CLUSTER_WIDE: [&str; 3] = ["clusterroles", "gatewayclasses", "ingressclasses"];

/// A group with one version, and the kinds in it: plural and kind.
#[allow(dead_code, reason = "not every test needs it")]
pub fn group(name: &str, version: &str, kinds: &[(&str, &str)]) -> Value {
    let kind = |(plural, kind): &(&str, &str)| {
        let scope = if CLUSTER_WIDE.contains(plural) { "Cluster" } else { "Namespaced" };
        json!({"resource": plural, "scope": scope, "verbs": ["get", "list", "create", "patch"],
               "responseKind": {"group": name, "version": version, "kind": kind}})
    };
    let kinds: Vec<Value> = kinds.iter().map(kind).collect();
    json!({"metadata": {"name": name}, "versions": [{"version": version, "freshness": "Current", "resources": kinds}]})
}
