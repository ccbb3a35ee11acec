//! `allOf`, `anyOf`, `oneOf` and `not`.
//!
//! `k8s.io/kube-openapi/pkg/validation/validate/schema_props.go`, v1.36. Tested in `values.rs`.

use serde_json::Value;

use super::values::Walker;
use super::{Judgement, Kind, Segment, shorten};

impl Walker {
    /// What another schema finds in the same value. It forgives nothing that did not change: the server hands down no
    /// old values there (`SchemaValidatorOptions.Options`).
    fn attempt(&mut self, schema: &Value, value: &Value) -> Judgement {
        let kept = std::mem::take(&mut self.found);
        self.check(schema, value, None);
        std::mem::replace(&mut self.found, kept)
    }

    pub(super) fn alternatives(&mut self, schema: &Value, value: &Value) {
        let branches =
            |key: &str| schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for branch in branches("allOf") {
            let found = self.attempt(branch, value);
            for violation in found.violations {
                self.found.refuse(&violation.path, violation.rule, violation.message);
            }
            found.undecided.into_iter().for_each(|(path, why)| self.found.wonder(&path, why));
        }
        for key in ["anyOf", "oneOf"] {
            let outcomes: Vec<_> = branches(key).iter().map(|branch| self.attempt(branch, value)).collect();
            if outcomes.is_empty() {
                continue;
            }
            let open =
                outcomes.iter().filter(|it| it.violations.is_empty() && !it.undecided.is_empty()).count();
            let fits =
                outcomes.iter().filter(|it| it.violations.is_empty() && it.undecided.is_empty()).count();
            let total = outcomes.len();
            match (key, fits, open) {
                ("anyOf", 1.., _) | ("oneOf", 1, 0) => {}
                ("oneOf", 2.., _) => {
                    self.refuse(
                        Kind::Value,
                        format!("fits {fits} of {total} alternatives, and must fit exactly one"),
                    );
                }
                (_, _, 1..) => {
                    self.found
                        .wonder(&self.path, format!("which of {total} alternatives it fits cannot be told"));
                }
                _ => {
                    let nearest = outcomes.iter().min_by_key(|it| it.violations.len());
                    let nearest = nearest.and_then(|it| it.violations.first());
                    let why = nearest.map(|it| {
                        format!("; the nearest says: {}{}", tail(&it.path, self.path.len()), it.message)
                    });
                    self.refuse(
                        Kind::Value,
                        format!("fits none of {total} alternatives{}", why.unwrap_or_default()),
                    );
                }
            }
        }
        if let Some(not) = schema.get("not").filter(|not| not.is_object()) {
            let found = self.attempt(not, value);
            if !found.violations.is_empty() {
                return;
            }
            match found.undecided.is_empty() {
                true => self.refuse(Kind::Value, "fits what the schema rules out with `not`"),
                false => {
                    self.found.wonder(&self.path, "whether the schema rules it out with `not` cannot be told")
                }
            }
        }
    }
}

fn tail(path: &[Segment], from: usize) -> String {
    let steps = path.get(from..).unwrap_or_default().iter().map(|step| match step {
        Segment::Key(key) => key.clone(),
        Segment::Index(at) => format!("[{at}]"),
    });
    let text = steps.collect::<Vec<_>>().join(".");
    if text.is_empty() { text } else { format!("{} ", shorten(&text, 60)) }
}
