//! Random changes of valid objects of many kinds, in every way in which they are sent: whether Preflight knows which of
//! them the API server cannot decode, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_core::Segment;
use preflight_core::cluster::Schemas;
use preflight_harness::scenario::documents;
use preflight_harness::{Api, ApiError, ControlPlane, number};
use preflight_plugins::admission::fields::{Face, Problem, What, problems};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::changes::change;
use super::{SEED, TOLD};

const CASES: usize = 1500;
const NAMESPACE: &str = "fields";
/// Requests under way at once.
const CROWD: usize = 16;
/// How many of a hundred cases may be unknown, and how many not to be compared.
const MOST_UNKNOWN: usize = 2;

pub fn fields(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES), usize::try_from)?;
    let only = number("PREFLIGHT_CASE")?.map(usize::try_from).transpose()?;
    let counts = plane.runtime().block_on(compare(plane.api(), seed, cases, only))?;
    counts.tell(seed)?;
    let few = |count: usize| only.is_some() || count * 100 <= cases * MOST_UNKNOWN;
    if counts.wrong.is_empty() && few(counts.unknown) && few(counts.beside) {
        return Ok(());
    }
    let told = counts.wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
    let Counts { unknown, beside, wrong, .. } = &counts;
    let different = wrong.len();
    Err(format!("seed {seed}: {different} are different, {unknown} unknown, {beside} not compared\n{told}")
        .into())
}

async fn compare(api: &Api, seed: u64, cases: usize, only: Option<usize>) -> Result<Counts, Failed> {
    let bases = bases(api).await?;
    let mut counts = Counts::default();
    let mut asking = JoinSet::new();
    for number in 0..cases {
        let mut rng = Rng::with_seed(seed.wrapping_add(number as u64));
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let case = Case::random(&mut rng, &bases, number);
        let api = api.clone();
        asking.spawn(async move { (case.ask(&api).await, case) });
        while asking.len() >= CROWD {
            counts.take(asking.join_next().await)?;
        }
    }
    while let Some(done) = asking.join_next().await {
        counts.take(Some(done))?;
    }
    Ok(counts)
}

/// A valid object, the schemas of its kind, and whether it could be made.
struct Base {
    object: Value,
    schemas: Schemas,
    is_there: bool,
}

async fn bases(api: &Api) -> Result<Vec<Base>, Failed> {
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}),
    ] {
        api.create(&object).await?;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission/bases.yaml");
    let mut bases = Vec::new();
    for mut object in documents(&path)? {
        let (api_version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
        if api.is_namespaced(&api_version, &kind).await? {
            object["metadata"]["namespace"] = NAMESPACE.into();
        }
        let document = if api_version.contains('/') { "apis" } else { "api" };
        let document = api.get(&format!("/openapi/v3/{document}/{api_version}")).await?;
        let made = api.create(&object).await;
        if let Some(error) = made.as_ref().err().filter(|error| is_of_decoding(error, Face::Patch)) {
            return Err(format!("{kind} cannot be decoded: {error}").into());
        }
        bases.push(Base { object, schemas: serde_json::from_value(document)?, is_there: made.is_ok() });
    }
    Ok(bases)
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

struct Case {
    number: usize,
    face: Face,
    object: Value,
    base: Value,
    problems: Option<Vec<Problem>>,
}

impl Case {
    fn random(rng: &mut Rng, bases: &[Base], number: usize) -> Self {
        let base = &bases[rng.usize(..bases.len())];
        let face = match rng.u8(..10) {
            0..=1 if base.is_there => Face::Patch,
            2..=3 => Face::Apply,
            4..=5 => Face::Create { prunes: true },
            _ => Face::Create { prunes: false },
        };
        let mut object = base.object.clone();
        let (api_version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let schema = base.schemas.of_kind(group, version, &kind).map(|(_, schema)| schema);
        for _ in 0..any_count(rng) {
            change(rng, &base.schemas, schema, &mut object, 0);
        }
        // What is sent is what is looked at.
        if face == (Face::Create { prunes: true }) {
            prune(&mut object);
        }
        let problems = problems(&base.schemas, (group, version, &kind), &object, face);
        Self { number, face, object, base: base.object.clone(), problems }
    }

    async fn ask(&self, api: &Api) -> Result<(), ApiError> {
        let answer = match self.face {
            Face::Patch => {
                let path = api.path(&self.base).await?;
                api.try_patch_strictly(&path, &self.object).await
            }
            Face::Apply => {
                let path = api.path(&self.base).await?;
                api.try_server_apply(&path, &self.object).await
            }
            _ => {
                let list = api.list_path(&self.base).await?;
                api.try_create_at(&list, &self.object).await
            }
        };
        answer.map(drop)
    }
}

/// Mostly one, so that what hides something else is seen as well as what is hidden by nothing.
fn any_count(rng: &mut Rng) -> usize {
    match rng.u8(..6) {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

/// As kubectl does when it applies (`pruneNullsFromMap` in `staging/src/k8s.io/kubectl/pkg/cmd/apply/apply.go`, v1.36).
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[derive(Default)]
struct Counts {
    equal: usize,
    unknown: usize,
    /// What is not decided by decoding: items that cannot be merged, for one.
    beside: usize,
    /// How often each is refused and taken.
    faces: BTreeMap<String, [usize; 2]>,
    wrong: Vec<String>,
    doubts: BTreeMap<&'static str, usize>,
}

type Done = Result<(Result<(), ApiError>, Case), tokio::task::JoinError>;

impl Counts {
    fn take(&mut self, done: Option<Done>) -> Result<(), Failed> {
        let Some((answer, case)) = done.transpose()? else { return Ok(()) };
        let error = answer.err();
        let is_silent = |error: &&ApiError| error.code == 0 && case.face != Face::Patch;
        if let Some(error) = error.as_ref().filter(is_silent) {
            return Err(format!("case {} {:?}: {}: {error}", case.number, case.face, case.object).into());
        }
        if error.as_ref().is_some_and(is_of_merging) {
            self.beside += 1;
            return Ok(());
        }
        let refusal = error.as_ref().filter(|error| is_of_decoding(error, case.face));
        let Some(found) = &case.problems else {
            self.wrong.push(format!("case {}: no schema of {}", case.number, case.base["kind"]));
            return Ok(());
        };
        let sure = found.iter().any(|problem| !matches!(problem.what, What::Doubt(_)));
        if let (false, Some(Problem { what: What::Doubt(why), .. })) = (sure, found.first()) {
            self.unknown += 1;
            *self.doubts.entry(why).or_default() += 1;
            return Ok(());
        }
        self.faces.entry(format!("{:?}", case.face)).or_default()[usize::from(refusal.is_none())] += 1;
        let agrees = match refusal {
            None => !sure,
            Some(refusal) => sure && same_place(&refusal.message, found),
        };
        if agrees {
            self.equal += 1;
        } else {
            self.wrong.push(format!(
                "case {} {:?}: {}\n  server: {error:?}\n  ours:   {found:?}",
                case.number, case.face, case.object
            ));
        }
        Ok(())
    }

    fn tell(&self, seed: u64) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        let Self { equal, unknown, beside, .. } = self;
        let different = self.wrong.len();
        writeln!(
            out,
            "seed {seed}: {equal} equal, {unknown} unknown, {different} different, {beside} beside it"
        )?;
        for (face, [refused, taken]) in &self.faces {
            writeln!(out, "{face:<26} {refused:>5} refused {taken:>5} taken")?;
        }
        for (why, count) in &self.doubts {
            writeln!(out, "{count:>5} unknown: {why}")?;
        }
        Ok(())
    }
}

/// Whether an object was refused because it could not be decoded.
fn is_of_decoding(error: &ApiError, face: Face) -> bool {
    let says = |text: &str| error.message.contains(text);
    match face {
        Face::Apply => {
            says("failed to create typed patch object")
                || says("failed to convert new object")
                || says("metadata.managedFields must be nil")
        }
        _ => says("cannot be handled as a") || error.message.starts_with(" \"\" is invalid: patch:"),
    }
}

/// Whether a patch was refused because lists could not be merged; kubectl fails at that too, before it sends anything. Where
/// items are to be told apart by a mapping, the API server breaks off without an answer.
fn is_of_merging(error: &ApiError) -> bool {
    let says = |text: &str| error.message.contains(text);
    error.code == 0
        || says("does not contain declared merge key")
        || says("unable to find api field in struct")
        || says("list element types are not identical")
}

/// Whether the server's words tell a place that was found, as far as they tell one.
fn same_place(words: &str, found: &[Problem]) -> bool {
    // `unknown field "spec.a", unknown field "spec.b[0].c"`: told only where there is nothing else.
    if words.contains("strict decoding error") {
        let told: BTreeSet<String> = words
            .split("unknown field \"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"'))
            .map(|(path, _)| path.to_owned())
            .collect();
        let is_sure = |problem: &&Problem| !matches!(problem.what, What::Doubt(_));
        let sure: BTreeSet<String> = found.iter().filter(is_sure).map(go_path).collect();
        let ours: BTreeSet<String> = found.iter().map(go_path).collect();
        let mistyped = found.iter().any(|problem| matches!(problem.what, What::Type { .. }));
        return !mistyped && told.is_superset(&sure) && told.is_subset(&ours);
    }
    let mistyped = || found.iter().filter(|problem| matches!(problem.what, What::Type { .. }));
    if let Some((_, rest)) = words.split_once("into Go struct field ") {
        let path = rest.split_once(" of type ").map_or(rest, |(path, _)| path);
        // The first is the struct's own name, and embedded structs have names in capitals.
        let names: Vec<&str> = path.split('.').skip(1).collect();
        let is_own =
            |at: usize| at + 1 == names.len() || !names[at].starts_with(|c: char| c.is_ascii_uppercase());
        let told: Vec<&str> = (0..names.len()).filter(|at| is_own(*at)).map(|at| names[at]).collect();
        return mistyped().any(|problem| problem.trail == told);
    }
    if words.contains("field not declared in schema") {
        return found.iter().any(|problem| matches!(problem.what, What::Unknown { .. }));
    }
    mistyped().next().is_some()
}

/// As Go writes it: keys of mappings as names of fields.
fn go_path(problem: &Problem) -> String {
    let mut path = String::new();
    for segment in problem.path.segments() {
        match segment {
            Segment::Index(index) => path.push_str(&format!("[{index}]")),
            Segment::Key(key) if path.is_empty() => path.push_str(key),
            Segment::Key(key) => path.push_str(&format!(".{key}")),
            _ => {}
        }
    }
    path
}
