//! Bounds of numbers, with the peculiarities of the server.
//!
//! `k8s.io/kube-openapi/pkg/validation/validate/values.go` and `validator.go` (v1.36), `IsFloat64AJSONInteger` of
//! `github.com/go-openapi/swag/convert.go`.

use serde_json::{Number, Value};

use super::formats;

/// A number as the server decodes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Num {
    /// Written without a fraction, and fits.
    Int(i64),
    /// Anything else.
    Float(f64),
}

impl Num {
    pub(super) fn of(number: &Number) -> Self {
        match number.as_i64() {
            Some(int) => Self::Int(int),
            None => Self::Float(number.as_f64().unwrap_or(f64::MAX)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Go compares it so")]
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// Whether it counts as an integer: `1.0` does.
    pub(super) fn whole(self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Float(float) => is_whole(float),
        }
    }
}

/// What a number does to the bounds of its schema.
pub(super) enum Verdict {
    Breaks(String),
    Unsure(String),
}

/// Checks a number against its format, `multipleOf`, `maximum` and `minimum`.
pub(super) fn check(schema: &Value, number: Num) -> Vec<Verdict> {
    let mut found = Vec::new();
    let both = super::flag(schema, "x-kubernetes-int-or-string");
    let kind = schema.get("type").and_then(Value::as_str).filter(|_| !both).unwrap_or_default();
    let format = formats::numeric(schema);
    if !in_range(number, kind, format) {
        let what = format.unwrap_or("int64");
        found.push(Verdict::Breaks(format!("is outside of the range of {what}")));
    }
    for (key, exclusive) in
        [("multipleOf", ""), ("maximum", "exclusiveMaximum"), ("minimum", "exclusiveMinimum")]
    {
        let Some(limit) = schema.get(key).and_then(Value::as_f64) else { continue };
        let exclusive = super::flag(schema, exclusive);
        if !in_range(Num::Float(limit), kind, format) {
            let message = format!("can never be valid: `{key}: {limit}` of its schema does not fit its type");
            found.push(Verdict::Breaks(message));
            continue;
        }
        let Num::Int(int) = number else {
            let value = number.float();
            let fits = match key {
                "maximum" => value < limit || (!exclusive && value <= limit),
                "minimum" => value > limit || (!exclusive && value >= limit),
                _ if limit <= 0.0 => false,
                _ if limit < 1.0 => is_whole(1.0 / limit * value),
                _ => is_whole(value / limit),
            };
            found.extend((!fits).then(|| broken(key, limit, exclusive)));
            continue;
        };
        // For an integer the server cuts the limit down to an integer too, which beyond 64 bits depends on its CPU.
        let Some(cut) = truncated(limit) else {
            found.push(Verdict::Unsure(format!("`{key}: {limit}` of its schema is beyond 64 bits")));
            continue;
        };
        let fits = match key {
            "maximum" => int < cut || (!exclusive && int == cut),
            "minimum" => int > cut || (!exclusive && int == cut),
            _ => cut > 0 && int % cut == 0,
        };
        found.extend((!fits).then(|| broken(key, limit, exclusive)));
    }
    found
}

fn broken(key: &str, limit: f64, exclusive: bool) -> Verdict {
    Verdict::Breaks(match (key, exclusive) {
        ("maximum", false) => format!("must be at most {limit}"),
        ("maximum", true) => format!("must be less than {limit}"),
        ("minimum", false) => format!("must be at least {limit}"),
        ("minimum", true) => format!("must be more than {limit}"),
        _ => format!("must be a multiple of {limit}"),
    })
}

/// Whether a number fits the type and format, which the server asks of limits as well.
fn in_range(number: Num, kind: &str, format: Option<&str>) -> bool {
    match (kind, format) {
        ("integer", Some("int32")) => match number {
            Num::Int(int) => i32::try_from(int).is_ok(),
            Num::Float(float) => {
                truncated(float).is_some_and(|int| float.fract() == 0.0 && i32::try_from(int).is_ok())
            }
        },
        ("integer", _) => match number {
            Num::Int(_) => true,
            Num::Float(float) => float.fract() == 0.0 && truncated(float).is_some(),
        },
        #[expect(clippy::cast_possible_truncation, reason = "the overflow is what is looked for")]
        ("number", Some("float")) => (number.float() as f32).is_finite(),
        _ => true,
    }
}

fn truncated(float: f64) -> Option<i64> {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    (-EDGE..EDGE).contains(&float).then_some(float as i64)
}

fn is_whole(float: f64) -> bool {
    const MOST: f64 = 9_007_199_254_740_991.0;
    if !float.is_finite() || float.abs() > MOST {
        return false;
    }
    let whole = float.trunc();
    whole == float || (float > 0.0 && whole != 0.0 && (float - whole).abs() / (float + whole) < 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn count(schema: &Value, value: &Value) -> usize {
        value.as_number().map(|number| check(schema, Num::of(number)).len()).unwrap_or(usize::MAX)
    }

    #[test]
    fn bounds_are_kept_and_broken() {
        let cases = [
            (json!({"type": "integer", "maximum": 3}), json!(3), json!(4)),
            (json!({"type": "integer", "minimum": 3}), json!(3), json!(2)),
            (json!({"type": "integer", "maximum": 3, "exclusiveMaximum": true}), json!(2), json!(3)),
            (json!({"type": "number", "minimum": 0, "exclusiveMinimum": true}), json!(0.1), json!(0)),
            (json!({"type": "integer", "multipleOf": 5}), json!(10), json!(11)),
            (json!({"type": "number", "multipleOf": 0.1}), json!(0.3), json!(0.35)),
            (json!({"type": "integer", "format": "int32"}), json!(2_147_483_647), json!(2_147_483_648_u32)),
            (json!({"type": "number", "format": "float"}), json!(1e38), json!(1e39)),
            (json!({"x-kubernetes-int-or-string": true, "maximum": 3}), json!(3), json!(4)),
        ];
        for (schema, keeps, breaks) in cases {
            assert_eq!(count(&schema, &keeps), 0, "{schema} {keeps}");
            assert_eq!(count(&schema, &breaks), 1, "{schema} {breaks}");
        }
    }

    #[test]
    fn peculiarities_of_the_server() {
        assert_eq!(
            count(&json!({"type": "integer", "minimum": 0.5}), &json!(7)),
            1,
            "the limit is no integer"
        );
        assert_eq!(count(&json!({"type": "number", "multipleOf": 0.5}), &json!(1)), 1, "0.5 is cut to 0");
        let unsure = check(&json!({"type": "number", "maximum": 1e19}), Num::Int(1));
        assert!(matches!(unsure.as_slice(), [Verdict::Unsure(_)]));
        assert!(Num::Float(2.0).whole() && !Num::Float(2.5).whole() && !Num::Float(1e17).whole());
    }
}
