//! Label selectors (`staging/src/k8s.io/apimachinery/pkg/labels/selector.go`, v1.36).

use std::collections::BTreeMap;

use serde_json::Value;

/// An object's labels.
pub type Labels = BTreeMap<String, String>;

/// Labels that controllers add, with values that nobody knows before. A key that ends with `/` stands for all that
/// begin with it (`pkg/controller/{deployment,statefulset,daemon,job}`, v1.36).
const ADDED: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
];

/// Whether controllers add a label of that key to the pods that they make.
#[must_use]
pub fn is_added(key: &str) -> bool {
    ADDED.iter().any(|added| *added == key || (added.ends_with('/') && key.starts_with(added)))
}

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

/// A `LabelSelector` as a query has it. `None` where it asks for nothing, or cannot be written.
#[must_use]
pub fn query(selector: &Value) -> Option<String> {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        equal.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for wanted in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = wanted["key"].as_str()?;
        let values: Vec<_> =
            wanted["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match wanted["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
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

    #[test]
    fn selectors_become_queries() {
        for (selector, text) in [
            (json!({"matchLabels": {"a": "b", "c": "d"}}), Some("a=b,c=d")),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "x", "operator": "DoesNotExist"}]}),
                Some("a in (b,c),!x"),
            ),
            (json!({}), None),
        ] {
            assert_eq!(query(&selector).as_deref(), text);
        }
    }
}
