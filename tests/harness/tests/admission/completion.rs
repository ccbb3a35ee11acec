//! Objects as the API server makes them, and as Preflight says that they will be.

use std::collections::BTreeMap;
use std::io::Write as _;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_harness::{ControlPlane, number};
use preflight_plugins::effective::{MAYBE, PARTIAL, Surroundings, UNKNOWN, created};
use serde_json::{Value, json};

use super::{CASES, SEED, TOLD, objects};

pub fn completion(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES / 2), usize::try_from)?;
    let mut rng = Rng::with_seed(seed);
    let mut kinds = BTreeMap::<String, usize>::new();
    let (mut wrong, mut partial, mut fields) = (Vec::new(), 0, 0);
    plane.runtime().block_on(async {
        let api = plane.api();
        for object in [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "completion"}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "completion"}}),
        ] {
            api.create(&object).await?;
        }
        for at in 0..cases {
            let object = objects::object(&mut rng, "completion", at);
            let theirs = api.dry_run(&object).await.map_err(|error| format!("{object}: {error}"))?;
            *kinds.entry(object["kind"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            let ours = created(&object, Surroundings::default());
            let mut differences = Vec::new();
            compare(&ours, &theirs, "", &mut differences, &mut partial, &mut fields);
            if !differences.is_empty() {
                wrong.push(format!("{object}\n  {}", differences.join("\n  ")));
            }
        }
        Ok::<_, Failed>(())
    })?;
    writeln!(
        std::io::stdout(),
        "seed {seed}: {cases} objects of {} kinds, {} otherwise; of {fields} fields {partial} are open",
        kinds.len(),
        wrong.len()
    )?;
    if wrong.is_empty() {
        return Ok(());
    }
    let told = wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
    Err(format!("seed {seed}: {} disagreements\n{told}", wrong.len()).into())
}

fn compare(
    ours: &Value,
    theirs: &Value,
    path: &str,
    wrong: &mut Vec<String>,
    open: &mut usize,
    fields: &mut usize,
) {
    *fields += 1;
    match (ours, theirs) {
        (Value::String(text), _) if text == UNKNOWN || text == MAYBE => *open += 1,
        (Value::Object(ours), Value::Object(theirs)) => {
            let partial = ours.contains_key(PARTIAL);
            *open += usize::from(partial);
            for (key, own) in ours.iter().filter(|(key, _)| *key != PARTIAL) {
                match theirs.get(key) {
                    // Of an empty object there is nothing to manage.
                    None if key == "managedFields" => {}
                    None if *own == *MAYBE => *open += 1,
                    Some(their) => compare(own, their, &format!("{path}.{key}"), wrong, open, fields),
                    None => wrong.push(format!("{path}.{key} is not there: {own}")),
                }
            }
            for (key, their) in theirs.iter().filter(|(key, _)| !partial && !ours.contains_key(*key)) {
                wrong.push(format!("{path}.{key} is missing: {their}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (own, their)) in ours.iter().zip(theirs).enumerate() {
                compare(own, their, &format!("{path}[{at}]"), wrong, open, fields);
            }
        }
        _ if ours == theirs => {}
        _ => wrong.push(format!("{path}: {ours} is {theirs}")),
    }
}
