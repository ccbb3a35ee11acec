//! Random clusters and releases: whether Preflight says beforehand what the real scheduler and controllers then do.
//!
//! `PREFLIGHT_SEED=NUMBER` makes other ones, `PREFLIGHT_CASES=500` more of them, `PREFLIGHT_CASE=NUMBER` only that one.
//! With `PREFLIGHT_DUMP=FOLDER` the whole state of each disagreement is written there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "scheduling/cluster.rs"]
mod cluster;
#[path = "scheduling/figures.rs"]
mod figures;
#[path = "scheduling/oracle.rs"]
mod oracle;
#[path = "scheduling/release.rs"]
mod release;
#[path = "scheduling/sentence.rs"]
mod sentence;
#[path = "scheduling/state.rs"]
mod state;
#[path = "scheduling/volumes.rs"]
mod volumes;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Consequence, Decision, Manifests, Outcome, Preflight, Report, Severity};
use preflight_harness::scenario::make_cluster;
use preflight_harness::{ControlPlane, Options, Test, User, number, run_tests};
use serde_json::Value;

use cluster::{Filling, Node, pick};
use figures::{Figures, Lone};
use release::{Tags, Workload, World};
use state::Namespaces;

/// The seed where none is given, and the number of cases.
const SEED: u64 = 20_260_201;
const CASES: usize = 40;
/// Cases that have the same nodes.
const BATCH: usize = 10;
/// Single pods for each case.
const PODS: usize = 4;
/// Single pods that have the same nodes.
const CROWD: usize = 30;
/// Cases of which one may be undecided.
const DECIDED: usize = 10;
/// How much longer the oracle looks where it would contradict a GO.
const DOUBT: Duration = Duration::from_secs(15);
/// How long the scheduler may take to say what it thinks of a pod.
const PATIENCE: Duration = Duration::from_secs(60);
const CHECKS: [&str; 2] = ["resource-capacity", "storage-validation"];
const RULE: &str = "resource-capacity/unschedulable";

fn main() -> std::process::ExitCode {
    let tests: [(_, Test); 2] = [
        ("releases", Box::new(|plane| releases(plane))),
        ("node_by_node", Box::new(|plane| node_by_node(plane))),
    ];
    run_tests(Options::default(), tests)
}

/// Which cases there are.
fn numbers(cases: usize) -> Result<(u64, Vec<usize>), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let all = match number("PREFLIGHT_CASE")? {
        Some(one) => vec![usize::try_from(one)?],
        None => (0..cases).collect(),
    };
    Ok((seed, all))
}

/// Random numbers for one purpose, the same for each run with a seed.
fn numbers_for(seed: u64, what: &str, number: usize) -> Rng {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in what.bytes().chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Rng::with_seed(hash)
}

/// What Preflight said.
#[derive(Debug, Clone)]
struct Said {
    decision: &'static str,
    /// Whether a finding says that it will not land.
    wont_land: bool,
    /// Rules and messages of findings that stand in the way.
    findings: Vec<(String, String)>,
    /// Rules that are unknown, and why.
    unknown: Vec<(String, String)>,
}

/// A case, what was said and what happened.
#[derive(Debug, Clone)]
struct Case {
    number: usize,
    kinds: Vec<&'static str>,
    tags: Tags,
    said: Said,
    landing: oracle::Landing,
    took: [Duration; 3],
}

fn releases(plane: &ControlPlane) -> Result<(), Failed> {
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES), usize::try_from)?;
    let (seed, numbers) = numbers(cases)?;
    let kubeconfig = plane.kubeconfig(&User::Admin, "harness")?;
    let mut figures = Figures::new(seed);
    plane.runtime().block_on(async {
        state::classes(plane.api()).await?;
        let mut batch = (usize::MAX, Vec::new());
        for number in numbers {
            if batch.0 != number / BATCH {
                state::remove_nodes(plane.api()).await?;
                batch.0 = number / BATCH;
                batch.1 = cluster::nodes(&mut numbers_for(seed, "nodes", batch.0), batch.0);
                state::make_nodes(plane.api(), &batch.1).await?;
            }
            let mut namespaces = Namespaces::of(&format!("c{number}"));
            let case = case(plane, &kubeconfig, seed, number, &batch.1, &mut namespaces).await?;
            if let Some(wrong) = figures.add(case) {
                figures::dump(plane.api(), seed, number, &wrong).await?;
            }
            state::remove(plane.api(), &namespaces).await?;
            volumes::remove(plane.api()).await?;
        }
        state::remove_nodes(plane.api()).await
    })?;
    writeln!(std::io::stdout(), "{figures}")?;
    figures.judge(DECIDED)
}

/// Makes the state, asks Preflight, applies, and watches.
async fn case(
    plane: &ControlPlane,
    kubeconfig: &Path,
    seed: u64,
    number: usize,
    nodes: &[Node],
    namespaces: &mut Namespaces,
) -> Result<Case, Failed> {
    let api = plane.api();
    let start = Instant::now();
    let (mut rng, mut tags) = (numbers_for(seed, "case", number), Tags::new());
    let priorities = rng.u32(0..6) == 0;
    let with_live = rng.bool();
    let empty: Vec<_> = nodes.iter().map(|node| node.room).collect();
    state::make_namespaces(api, namespaces).await?;

    let mut live = Vec::new();
    if with_live {
        let rng = &mut numbers_for(seed, "live", number);
        let app = namespaces.app.clone();
        let fresh = World { nodes, room: &empty, namespace: &app, priorities: false, gentle: true };
        live = release::workloads(rng, &fresh, &mut Tags::new());
        let objects: Vec<_> = live.iter().map(|one| one.object(&namespaces.app)).collect();
        if !land(plane, &objects, namespaces, Duration::ZERO).await?.landed {
            tags.insert("live gave up");
            state::remove(api, namespaces).await?;
            // Those take their time to go.
            *namespaces = Namespaces::of(&format!("c{number}-again"));
            state::make_namespaces(api, namespaces).await?;
            live.clear();
        }
    }
    let low = if priorities { *pick(&mut rng, &[30, 100]) } else { 0 };
    let filling = Filling { share: *pick(&mut rng, &[30, 60, 80, 90, 95]), low };
    let mut room = state::room(api, nodes).await;
    let fill = cluster::fillers(
        &mut numbers_for(seed, "fill", number),
        nodes,
        &mut room,
        &[namespaces.app.clone(), namespaces.fill.clone()],
        filling,
    );
    state::run_pods(api, &fill).await?;

    let world = World { nodes, room: &room, namespace: &namespaces.app, priorities, gentle: false };
    let mut release: Vec<Workload> = if live.is_empty() {
        release::workloads(&mut rng, &world, &mut tags)
    } else {
        tags.insert("live");
        live.iter().map(|one| release::next_version(&mut rng, &world, one, &mut tags)).collect()
    };
    if priorities {
        tags.insert("priorities");
    }
    if rng.u32(0..6) == 0 {
        let is_new = live.is_empty();
        volumes::give(api, &mut rng, namespaces, nodes, &mut release, is_new, &mut tags).await?;
    }
    if rng.u32(0..8) == 0 {
        tags.insert("quota");
        state::quota(api, &mut rng, namespaces, &release).await?;
    }
    if rng.u32(0..10) == 0 {
        tags.insert("limits");
        state::limits(api, &mut rng, namespaces, &release).await?;
    }
    let objects: Vec<_> = release.iter().map(|one| one.object(&namespaces.app)).collect();
    let made = start.elapsed();
    figures::note(api, namespaces, &objects).await?;
    let said = ask(kubeconfig, &objects).await?;
    let asked = start.elapsed();
    let doubt = if said.decision == "go" { DOUBT } else { Duration::ZERO };
    let landing = land(plane, &objects, namespaces, doubt)
        .await
        .map_err(|why| format!("seed {seed}, case {number}: {why}"))?;
    Ok(Case {
        number,
        kinds: release.iter().map(|one| one.kind).collect(),
        tags,
        said,
        landing,
        took: [made, asked - made, start.elapsed() - asked],
    })
}

async fn land(
    plane: &ControlPlane,
    objects: &[Value],
    namespaces: &Namespaces,
    doubt: Duration,
) -> Result<oracle::Landing, String> {
    for object in objects {
        if let Err(why) = oracle::apply(plane.api(), object).await {
            return Ok(oracle::Landing { landed: false, why: vec![why] });
        }
    }
    oracle::settle(plane, objects, &[namespaces.app.clone(), namespaces.fill.clone()], doubt).await
}

async fn ask(kubeconfig: &Path, objects: &[Value]) -> Result<Said, Failed> {
    let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let options = AccessOptions { kubeconfig: Some(kubeconfig.to_owned()), ..AccessOptions::default() };
    let report = Preflight::new(Cluster::resolve(&options).map_err(|error| error.to_string())?)
        .manifests(Manifests::parse("release.yaml", &text).map_err(|error| error.to_string())?)
        .plugins(preflight_plugins::builtin())
        .known_settings(preflight_plugins::known_settings())
        .only(CHECKS.map(str::to_owned))
        .start()
        .map_err(|error| error.to_string())?
        .finish()
        .await;
    Ok(said(&report))
}

fn said(report: &Report) -> Said {
    let failed = |finding: &&preflight_core::Finding| finding.severity == Severity::Failed;
    let findings = || report.checks.iter().flat_map(|check| &check.findings).filter(failed);
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    Said {
        decision: match report.verdict.decision {
            Decision::Go => "go",
            Decision::NoGo => "no-go",
            _ => "unknown",
        },
        wont_land: findings().any(|finding| finding.consequence == Consequence::WontLand),
        findings: findings()
            .map(|one| (one.rule.clone(), format!("{}: {}", one.subject.name, one.message)))
            .collect(),
        unknown: rules
            .filter_map(|rule| match &rule.outcome {
                Outcome::Unknown { why, .. } => Some((rule.rule.clone(), why.clone())),
                _ => None,
            })
            .collect(),
    }
}

/// Single pods, most of them for no node: whether Preflight counts the nodes by the same reasons as the scheduler.
fn node_by_node(plane: &ControlPlane) -> Result<(), Failed> {
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES), usize::try_from)?;
    let pods = if cases == CASES { cases * PODS - 10 } else { cases * 6 / 5 };
    let (seed, numbers) = numbers(pods)?;
    let kubeconfig = plane.kubeconfig(&User::Admin, "harness")?;
    let mut figures = Lone::new(seed);
    plane.runtime().block_on(async {
        state::classes(plane.api()).await?;
        for crowd in numbers.chunk_by(|a, b| a / CROWD == b / CROWD) {
            self::crowd(plane, &kubeconfig, seed, crowd, &mut figures).await?;
        }
        Ok::<_, Failed>(())
    })?;
    writeln!(std::io::stdout(), "{figures}")?;
    figures.judge()
}

/// Pods on one cluster. Those that no node is found for take no room, so they can wait side by side; the others come one
/// at a time, and go.
async fn crowd(
    plane: &ControlPlane,
    kubeconfig: &Path,
    seed: u64,
    numbers: &[usize],
    figures: &mut Lone,
) -> Result<(), Failed> {
    let api = plane.api();
    let batch = numbers[0] / CROWD;
    state::remove_nodes(api).await?;
    let mut rng = numbers_for(seed, "crowd", batch);
    let nodes = cluster::nodes(&mut rng, batch);
    state::make_nodes(api, &nodes).await?;
    let namespaces = Namespaces::of(&format!("n{batch}"));
    state::make_namespaces(api, &namespaces).await?;
    let mut room: Vec<_> = nodes.iter().map(|node| node.room).collect();
    let filling = Filling { share: *pick(&mut rng, &[60, 80, 90]), low: 0 };
    let fill = cluster::fillers(
        &mut rng,
        &nodes,
        &mut room,
        &[namespaces.app.clone(), namespaces.fill.clone()],
        filling,
    );
    state::run_pods(api, &fill).await?;
    let world =
        World { nodes: &nodes, room: &room, namespace: &namespaces.app, priorities: false, gentle: false };
    let (mut waiting, mut alone) = (Vec::new(), Vec::new());
    for number in numbers {
        let mut rng = numbers_for(seed, "pod", *number);
        let pod = release::lone_pod(&mut rng, &world, &format!("p{number}"), &mut Tags::new());
        let said = ask(kubeconfig, std::slice::from_ref(&pod)).await?;
        let place =
            if said.findings.iter().any(|(rule, _)| rule == RULE) { &mut waiting } else { &mut alone };
        place.push((*number, pod, said));
    }
    for (_, pod, _) in &waiting {
        oracle::apply(api, pod).await?;
    }
    let mut gone = Vec::new();
    for (number, pod, said) in waiting {
        let answer = state::answer(api, &pod, PATIENCE).await?;
        figures.add(number, &pod, &said, answer.as_deref(), &nodes, &fill);
        gone.push(pod);
    }
    // Once others come, some of them would find a node after all, and take its room.
    for pod in gone {
        state::remove_pod(api, &pod).await?;
    }
    for (number, pod, said) in alone {
        oracle::apply(api, &pod).await?;
        let mut answer = state::answer(api, &pod, PATIENCE).await?;
        if answer.is_some() && said.decision == "go" {
            // The scheduler may not have heard yet that the pod before it has gone. It looks again when it does.
            answer = state::last_answer(api, &pod, DOUBT).await?;
        }
        if answer.is_some() && said.decision == "go" {
            // What it said may still have been about the pod before: another one has nothing before it.
            state::remove_pod(api, &pod).await?;
            oracle::apply(api, &pod).await?;
            answer = state::answer(api, &pod, PATIENCE).await?;
        }
        state::remove_pod(api, &pod).await?;
        figures.add(number, &pod, &said, answer.as_deref(), &nodes, &fill);
    }
    state::remove(api, &namespaces).await?;
    state::remove_nodes(api).await
}
