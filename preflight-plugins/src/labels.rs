//! Label selectors (`staging/src/k8s.io/apimachinery/pkg/labels/selector.go`, v1.36).

use std::collections::BTreeMap;

use serde_json::Value;

/// An object's labels.
pub type Labels = BTreeMap<String, String>;

/// The labels that an object in JSON has.
#[must_use]
pub fn of(object: &Value) -> Labels {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a `LabelSelector` selects these labels. Without any requirement it selects everything.
#[must_use]
pub fn selects(selector: &Value, labels: &Labels) -> bool {
    let equal = |(key, value): (&String, &Value)| labels.get(key).map(String::as_str) == value.as_str();
    selector["matchLabels"].as_object().is_none_or(|wanted| wanted.iter().all(equal))
        && selector["matchExpressions"].as_array().is_none_or(|all| {
            all.iter().all(|wanted| meets(wanted, labels.get(key_of(wanted)).map(String::as_str)))
        })
}

/// The key that a requirement is about.
#[must_use]
pub fn key_of(requirement: &Value) -> &str {
    requirement["key"].as_str().unwrap_or_default()
}

/// Whether a value, or that there is none, meets a requirement (`Requirement.Matches`).
#[must_use]
pub fn meets(requirement: &Value, value: Option<&str>) -> bool {
    let values: Vec<&str> =
        requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |greater: bool| match (value.and_then(number), values.first().and_then(|text| number(text)))
    {
        (Some(has), Some(limit)) => (greater && has > limit) || (!greater && has < limit),
        _ => false,
    };
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" => value.is_some_and(|value| values.contains(&value)),
        "NotIn" => value.is_none_or(|value| !values.contains(&value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(true),
        "Lt" => compare(false),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select() {
        let labels = of(&json!({"metadata": {"labels": {"app": "web", "tier": "front"}}}));
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (json!({}), true),
            (json!(null), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "api"}}), false),
            (json!({"matchLabels": {"gone": "x"}}), false),
            (expression("app", "In", &["web", "api"]), true),
            (expression("app", "NotIn", &["web"]), false),
            (expression("gone", "NotIn", &["web"]), true),
            (expression("gone", "Exists", &[]), false),
            (expression("gone", "DoesNotExist", &[]), true),
            (expression("app", "Near", &["web"]), false),
        ] {
            assert_eq!(selects(&selector, &labels), selected, "{selector}");
        }
    }
}
