//! Objects as the API server makes them, and as Preflight says that they will be.

use std::collections::BTreeMap;
use std::io::Write as _;

use fastrand::Rng;
use libtest_mimic::Failed;
use preflight_harness::{ControlPlane, number};
use preflight_plugins::effective::{MAYBE, PARTIAL, Surroundings, UNKNOWN, created, differences};
use serde_json::{Value, json};

use super::{CASES, SEED, TOLD, objects};

pub fn completion(plane: &ControlPlane) -> Result<(), Failed> {
    let seed = number("PREFLIGHT_SEED")?.unwrap_or(SEED);
    let cases = number("PREFLIGHT_CASES")?.map_or(Ok(CASES / 2), usize::try_from)?;
    let mut rng = Rng::with_seed(seed);
    let mut kinds = BTreeMap::<String, usize>::new();
    let (mut wrong, mut open, mut fields) = (Vec::new(), 0, 0);
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
            let differences = differences(&ours, &theirs);
            count(&ours, &mut fields, &mut open);
            if !differences.is_empty() {
                wrong.push(format!("{object}\n  {}", differences.join("\n  ")));
            }
        }
        Ok::<_, Failed>(())
    })?;
    writeln!(
        std::io::stdout(),
        "seed {seed}: {cases} objects of {} kinds, {} otherwise; of {fields} fields {open} are open",
        kinds.len(),
        wrong.len()
    )?;
    if wrong.is_empty() {
        return Ok(());
    }
    let told = wrong.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
    Err(format!("seed {seed}: {} disagreements\n{told}", wrong.len()).into())
}

/// Counts fields, and those that are left open.
fn count(value: &Value, fields: &mut usize, open: &mut usize) {
    *fields += 1;
    match value {
        Value::Object(all) => {
            *open += usize::from(all.contains_key(PARTIAL));
            all.values().for_each(|value| count(value, fields, open));
        }
        Value::Array(items) => items.iter().for_each(|item| count(item, fields, open)),
        Value::String(text) => *open += usize::from(text == UNKNOWN || text == MAYBE),
        _ => {}
    }
}
