//! Label and field selectors, as the API server reads them.

use serde_json::Value;

/// Whether an object's labels match. `None`: the selector cannot be read.
pub(super) fn labels_match(object: &Value, selector: &str) -> Option<bool> {
    let labels = object.pointer("/metadata/labels");
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    requirements(selector)
        .into_iter()
        .try_fold(true, |all, requirement| Some(all && label_requirement(requirement.trim(), &label)?))
}

/// Requirements are separated by commas outside parentheses.
fn requirements(selector: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_i32, 0, Vec::new());
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&selector[start..]);
    found.into_iter().filter(|requirement| !requirement.trim().is_empty()).collect()
}

fn label_requirement<'a>(requirement: &str, label: &impl Fn(&str) -> Option<&'a str>) -> Option<bool> {
    if let Some((key, values)) = set_requirement(requirement, " notin ") {
        return Some(label(key).is_none_or(|value| !values.contains(&value)));
    }
    if let Some((key, values)) = set_requirement(requirement, " in ") {
        return Some(label(key).is_some_and(|value| values.contains(&value)));
    }
    if let Some((key, value)) = requirement.split_once("!=") {
        return Some(label(key.trim()) != Some(value.trim()));
    }
    if let Some((key, value)) = requirement.split_once("==").or_else(|| requirement.split_once('=')) {
        return Some(label(key.trim()) == Some(value.trim()));
    }
    match requirement.strip_prefix('!') {
        Some(key) if is_key(key.trim()) => Some(label(key.trim()).is_none()),
        None if is_key(requirement) => Some(label(requirement).is_some()),
        _ => None,
    }
}

fn set_requirement<'a>(requirement: &'a str, operator: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (key, values) = requirement.split_once(operator)?;
    let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key.trim(), values.split(',').map(str::trim).collect()))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

/// Whether an object's fields match. `None`: the selector cannot be read.
pub(super) fn fields_match(object: &Value, selector: &str) -> Option<bool> {
    requirements(selector).into_iter().try_fold(true, |all, requirement| {
        let (path, value, wanted) = match requirement.split_once("!=") {
            Some((path, value)) => (path, value, false),
            None => {
                let (path, value) = requirement.split_once("==").or_else(|| requirement.split_once('='))?;
                (path, value, true)
            }
        };
        let pointer = format!("/{}", path.trim().replace('.', "/"));
        let found = match object.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Some(all && ((found == value.trim()) == wanted))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operator_matches_and_does_not() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "web", "tier": "front"}}, "spec": {"nodeName": "n1"}});
        for (selector, expected) in [
            ("app=web", Some(true)),
            ("app==web,tier=front", Some(true)),
            ("app=db", Some(false)),
            ("app!=db", Some(true)),
            ("app!=web", Some(false)),
            ("app in (db, web)", Some(true)),
            ("app in (db)", Some(false)),
            ("app notin (db)", Some(true)),
            ("app notin (web),tier", Some(false)),
            ("tier", Some(true)),
            ("zone", Some(false)),
            ("!zone", Some(true)),
            ("!tier", Some(false)),
            ("", Some(true)),
            ("a b c", None),
        ] {
            assert_eq!(labels_match(&object, selector), expected, "{selector}");
        }
        for (selector, expected) in [
            ("metadata.name=a", Some(true)),
            ("spec.nodeName==n1,metadata.name!=b", Some(true)),
            ("spec.nodeName=n2", Some(false)),
            ("nonsense", None),
        ] {
            assert_eq!(fields_match(&object, selector), expected, "{selector}");
        }
    }
}
