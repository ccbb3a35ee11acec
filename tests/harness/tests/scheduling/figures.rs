//! What came of all cases, and what is told of those that went wrong.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use libtest_mimic::Failed;
use preflight_harness::Api;
use serde_json::{Value, json};

use crate::cluster::Node;
use crate::sentence::reasons;
use crate::state::Namespaces;
use crate::{Case, RULE, Said};

/// What a finding says where another order of placing might do.
const NOT_FOUND: &str = "no placement found";
/// Disagreements that are told.
const TOLD: usize = 10;

/// A line of the table.
#[derive(Debug, Default)]
struct Row {
    cases: usize,
    landed: usize,
    go: usize,
    no_go: usize,
    unknown: usize,
    not_found: usize,
    harm: usize,
    false_go: usize,
    false_no_go: usize,
}

impl Row {
    const HEAD: &str = "cases landed   go no-go unknown not-found harm false-go false-no-go";

    fn add(&mut self, case: &Case) {
        let (said, landed) = (&case.said, case.landing.landed);
        self.cases += 1;
        self.landed += usize::from(landed);
        self.go += usize::from(said.decision == "go");
        self.no_go += usize::from(said.decision == "no-go");
        self.unknown += usize::from(said.decision == "unknown");
        self.harm += usize::from(said.decision == "no-go" && !said.wont_land);
        self.false_go += usize::from(said.decision == "go" && !landed);
        if said.decision == "no-go" && said.wont_land && landed {
            if said.findings.iter().any(|(_, message)| message.contains(NOT_FOUND)) {
                self.not_found += 1;
            } else {
                self.false_no_go += 1;
            }
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5} {:>6} {:>4} {:>5} {:>7} {:>9} {:>4} {:>8} {:>11}",
            self.cases,
            self.landed,
            self.go,
            self.no_go,
            self.unknown,
            self.not_found,
            self.harm,
            self.false_go,
            self.false_no_go
        )
    }
}

/// What came of the releases.
pub struct Figures {
    seed: u64,
    all: Row,
    kinds: BTreeMap<String, Row>,
    tags: BTreeMap<&'static str, Row>,
    /// Why it is unknown, and how often.
    unknown: BTreeMap<String, usize>,
    wrong: Vec<String>,
    took: [f64; 3],
    slowest: (f64, usize),
}

impl Figures {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            all: Row::default(),
            kinds: BTreeMap::new(),
            tags: BTreeMap::new(),
            unknown: BTreeMap::new(),
            wrong: Vec::new(),
            took: [0.0; 3],
            slowest: (0.0, 0),
        }
    }

    /// Counts a case, and gives what is wrong with it.
    pub fn add(&mut self, case: Case) -> Option<String> {
        let before = (self.all.false_go, self.all.false_no_go);
        self.all.add(&case);
        let kind = if case.kinds.len() == 1 { case.kinds[0] } else { "several" };
        self.kinds.entry(kind.to_owned()).or_default().add(&case);
        for tag in &case.tags {
            self.tags.entry(tag).or_default().add(&case);
        }
        if case.said.decision == "unknown" {
            for (rule, why) in &case.said.unknown {
                *self.unknown.entry(format!("{rule}: {why}")).or_default() += 1;
            }
        }
        for (sum, took) in self.took.iter_mut().zip(case.took) {
            *sum += took.as_secs_f64();
        }
        let whole = case.took.iter().map(std::time::Duration::as_secs_f64).sum();
        if whole > self.slowest.0 {
            self.slowest = (whole, case.number);
        }
        if std::env::var_os("PREFLIGHT_VERBOSE").is_some() {
            let line = format!("{case:?}\n");
            let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
        }
        if (self.all.false_go, self.all.false_no_go) == before {
            return None;
        }
        let Case { number, kinds, tags, said, landing, .. } = case;
        let wrong = format!(
            "seed {}, case {number} ({}; {}): said {}, landed: {}\n  Preflight: {:?}\n  cluster: {:?}",
            self.seed,
            kinds.join(", "),
            tags.into_iter().collect::<Vec<_>>().join(", "),
            said.decision,
            landing.landed,
            said.findings,
            landing.why
        );
        self.wrong.push(wrong.clone());
        Some(wrong)
    }

    pub fn judge(&self, decided: usize) -> Result<(), Failed> {
        if !self.wrong.is_empty() {
            let told = self.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
            return Err(format!("seed {}: {} disagreements\n{told}", self.seed, self.wrong.len()).into());
        }
        if self.all.unknown * decided > self.all.cases {
            return Err(format!("seed {}: too much is undecided: {:#?}", self.seed, self.unknown).into());
        }
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "{:<18} {}", "", Row::HEAD)?;
        writeln!(f, "{:<18} {}", "all", self.all)?;
        for (name, row) in &self.kinds {
            writeln!(f, "{name:<18} {row}")?;
        }
        for (name, row) in &self.tags {
            writeln!(f, "  {name:<16} {row}")?;
        }
        for (why, count) in &self.unknown {
            writeln!(f, "unknown {count} times: {why}")?;
        }
        let cases = f64::from(u32::try_from(self.all.cases.max(1)).unwrap_or(u32::MAX));
        let [state, asking, landing] = self.took.map(|sum| sum / cases);
        let (slowest, number) = self.slowest;
        write!(
            f,
            "seconds a case: state {state:.2}, asking {asking:.2}, landing {landing:.2}; slowest {slowest:.1} (case {number})"
        )
    }
}

/// What came of the single pods.
pub struct Lone {
    seed: u64,
    /// Pods that both say no node is there for, and that both say fit.
    same: [usize; 2],
    unknown: BTreeMap<String, usize>,
    /// How often each reason was given by the scheduler.
    reasons: BTreeMap<String, usize>,
    pods: usize,
    wrong: Vec<String>,
}

impl Lone {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            same: [0, 0],
            unknown: BTreeMap::new(),
            reasons: BTreeMap::new(),
            pods: 0,
            wrong: Vec::new(),
        }
    }

    /// Compares what was said of a pod with what the scheduler answered, if it found no node.
    pub fn add(
        &mut self,
        number: usize,
        pod: &Value,
        said: &Said,
        answer: Option<&str>,
        nodes: &[Node],
        pods: &[Value],
    ) {
        self.pods += 1;
        let theirs = answer.and_then(reasons);
        for reason in theirs.iter().flatten().filter(|(_, count)| count.is_some()) {
            *self.reasons.entry(reason.0.clone()).or_default() += 1;
        }
        let ours = said.findings.iter().find(|(rule, _)| rule == RULE).map(|(_, message)| message);
        let wrong = match (answer, ours) {
            (_, None) if said.decision == "unknown" => {
                let why = said.unknown.iter().find(|(rule, _)| rule == RULE);
                let why = why.map_or_else(|| format!("{:?}", said.unknown), |(_, why)| why.clone());
                *self.unknown.entry(why).or_default() += 1;
                return;
            }
            (None, None) if said.decision == "go" => {
                self.same[1] += 1;
                return;
            }
            (Some(answer), Some(ours)) => {
                let ours_read = reasons(ours);
                if theirs.is_some() && ours_read == theirs {
                    self.same[0] += 1;
                    return;
                }
                let sentence = answer.split(". ").next().unwrap_or(answer);
                format!("scheduler: {sentence}\n  Preflight: {ours}")
            }
            (None, Some(ours)) => format!("scheduler: it fits\n  Preflight: {ours}"),
            (answer, None) => format!(
                "scheduler: {}\n  Preflight: {} {:?}",
                answer.unwrap_or("it fits"),
                said.decision,
                said.findings
            ),
        };
        let wrong = format!("seed {}, pod {number}\n  {wrong}\n  pod: {}", self.seed, pod["spec"]);
        let state = json!({
            "apiVersion": "v1", "kind": "List",
            "items": nodes.iter().map(Node::object).chain(pods.iter().cloned()).chain([pod.clone()]).collect::<Vec<_>>(),
        });
        let _ = write_dump(&format!("pod-{}-{number}.txt", self.seed), &wrong);
        let _ = write_dump(&format!("pod-{}-{number}.json", self.seed), &state.to_string());
        self.wrong.push(wrong);
    }

    pub fn judge(&self) -> Result<(), Failed> {
        if !self.wrong.is_empty() {
            let told = self.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
            return Err(format!("seed {}: {} disagreements\n{told}", self.seed, self.wrong.len()).into());
        }
        let unknown: usize = self.unknown.values().sum();
        if unknown * crate::DECIDED > self.pods {
            return Err(format!("seed {}: too much is undecided: {:#?}", self.seed, self.unknown).into());
        }
        Ok(())
    }
}

impl fmt::Display for Lone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown: usize = self.unknown.values().sum();
        writeln!(
            f,
            "seed {}: {} pods; same reasons: {}, both say it fits: {}, unknown: {unknown}, different: {}",
            self.seed,
            self.pods,
            self.same[0],
            self.same[1],
            self.wrong.len()
        )?;
        for (why, count) in &self.unknown {
            writeln!(f, "unknown {count} times: {why}")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "{count:>5} {reason}")?;
        }
        Ok(())
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("PREFLIGHT_DUMP").map(PathBuf::from)
}

fn write_dump(name: &str, text: &str) -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), text)
}

/// Keeps the state before the release, in case it is wanted.
pub async fn note(api: &Api, namespaces: &Namespaces, release: &[Value]) -> Result<(), Failed> {
    if folder().is_none() {
        return Ok(());
    }
    let mut items = Vec::new();
    let app = &namespaces.app;
    for (kind, api_version, list) in [
        ("Node", "v1", "/api/v1/nodes".to_owned()),
        ("Pod", "v1", "/api/v1/pods".to_owned()),
        ("ResourceQuota", "v1", format!("/api/v1/namespaces/{app}/resourcequotas")),
        ("LimitRange", "v1", format!("/api/v1/namespaces/{app}/limitranges")),
        ("Deployment", "apps/v1", format!("/apis/apps/v1/namespaces/{app}/deployments")),
        ("ReplicaSet", "apps/v1", format!("/apis/apps/v1/namespaces/{app}/replicasets")),
        ("StatefulSet", "apps/v1", format!("/apis/apps/v1/namespaces/{app}/statefulsets")),
        ("DaemonSet", "apps/v1", format!("/apis/apps/v1/namespaces/{app}/daemonsets")),
    ] {
        for mut item in api.items(&list).await {
            item["kind"] = kind.into();
            item["apiVersion"] = api_version.into();
            item["metadata"]["managedFields"] = Value::Null;
            items.push(item);
        }
    }
    write_dump("state.json", &json!({"kind": "List", "apiVersion": "v1", "items": items}).to_string())?;
    let release: Vec<_> = release.iter().map(Value::to_string).collect();
    Ok(write_dump("release.yaml", &release.join("\n---\n"))?)
}

/// Writes what is wrong with a case, with the state before it and the pods after it.
pub async fn dump(api: &Api, seed: u64, number: usize, wrong: &str) -> Result<(), Failed> {
    let Some(folder) = folder() else { return Ok(()) };
    let mut text = format!("{wrong}\n");
    let before = std::fs::read_to_string(folder.join("state.json"))?;
    let before: Value = serde_json::from_str(&before).map_err(|error| error.to_string())?;
    let short = |pod: &Value| {
        let requests: Vec<_> = ["initContainers", "containers"]
            .into_iter()
            .flat_map(|key| pod["spec"][key].as_array().cloned().unwrap_or_default())
            .map(|container| container["resources"]["requests"].to_string())
            .collect();
        format!(
            "{}/{} on {} {} {}",
            pod["metadata"]["namespace"].as_str().unwrap_or_default(),
            pod["metadata"]["name"].as_str().unwrap_or_default(),
            pod["spec"]["nodeName"],
            pod["status"]["phase"],
            requests.join(" ")
        )
    };
    for node in before["items"].as_array().into_iter().flatten().filter(|item| item["kind"] == "Node") {
        let _ = writeln!(
            text,
            "node {} {} {} {}",
            node["metadata"]["name"], node["status"]["allocatable"], node["metadata"]["labels"], node["spec"]
        );
    }
    for pod in before["items"].as_array().into_iter().flatten().filter(|item| item["kind"] == "Pod") {
        let _ = writeln!(text, "before {} {}", short(pod), pod["spec"]["affinity"]);
    }
    for pod in api.items("/api/v1/pods").await {
        let _ = writeln!(text, "after {}", short(&pod));
    }
    let _ = writeln!(text, "{}", std::fs::read_to_string(folder.join("release.yaml"))?);
    write_dump(&format!("case-{seed}-{number}.txt"), &text)?;
    std::fs::copy(folder.join("state.json"), folder.join(format!("case-{seed}-{number}.json")))?;
    Ok(())
}
