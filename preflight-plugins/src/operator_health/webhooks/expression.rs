//! What an expression asks of an object, and whether we have it as the API server will.

use serde_json::Value;

use crate::operator_health::requests::Request;

/// Whether everything that the expression asks of `object`, `oldObject` and `request` is known as the API server will
/// see it. It fills in defaults, and controllers make up names, labels and more, so that only single values that are
/// written count, and that something is, or is not, in the metadata of an object that is sent as written.
pub(super) fn is_complete(expression: &str, request: &Request<'_>) -> bool {
    if request.by_controller && (expression.contains("request.name") || expression.contains("oldObject")) {
        return false;
    }
    ["oldObject", "object"].into_iter().all(|root| {
        let value = if root == "object" { Some(&request.object) } else { request.old.as_ref() };
        paths(expression, root).all(|(before, path, after)| match path.is_empty() {
            // Whether there is an object at all is known; what it is as a whole is not.
            true => is_compared_with_null(after),
            false => is_known(request, value, before, &path),
        })
    })
}

fn is_known(request: &Request<'_>, value: Option<&Value>, before: &str, path: &[&str]) -> bool {
    let asked_for = before.trim_end().ends_with("has(");
    if request.by_controller {
        return matches!(
            (path, asked_for),
            (["kind" | "apiVersion"] | ["metadata", "namespace"], false)
                | (["metadata", "ownerReferences"], true)
        );
    }
    // Of has(), the evaluation takes only what it may.
    if asked_for {
        return true;
    }
    let found = path.iter().try_fold(value.unwrap_or(&Value::Null), |value, key| value.get(key));
    let is_in_labels = path == ["metadata", "labels"] && before.trim_end().ends_with(" in");
    match found {
        Some(Value::Object(_)) => is_in_labels,
        Some(Value::Array(_) | Value::Null) | None => false,
        Some(_) => true,
    }
}

fn is_compared_with_null(after: &str) -> bool {
    let rest = after.trim_start();
    let rest = rest.strip_prefix("==").or_else(|| rest.strip_prefix("!="));
    rest.is_some_and(|rest| rest.trim_start().starts_with("null"))
}

/// Each place where the expression names `root`: what stands before it, the path of fields after it, without the
/// function that is called on the last one, and what stands after that.
fn paths<'a>(expression: &'a str, root: &'a str) -> impl Iterator<Item = (&'a str, Vec<&'a str>, &'a str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression.match_indices(root).filter_map(move |(at, _)| {
        let (before, after) = (&expression[..at], &expression[at + root.len()..]);
        if before.ends_with(|c| is_word(c) || c == '.') || after.starts_with(is_word) {
            return None;
        }
        let (mut path, mut rest) = (Vec::new(), after);
        loop {
            if let Some(tail) = rest.strip_prefix('.') {
                let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
                let (key, tail) = tail.split_at(end);
                if tail.trim_start().starts_with('(') {
                    break;
                }
                path.push(key);
                rest = tail;
            } else if let Some((key, tail)) = quoted(rest) {
                path.push(key);
                rest = tail;
            } else {
                break;
            }
        }
        Some((before, path, rest))
    })
}

/// `['key']` or `["key"]`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (key, tail) = inner[1..].split_once(quote)?;
    Some((key, tail.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let expression = "has(object.metadata.labels) && object.metadata.labels['a/b'] == 'x' \
                          && object.metadata.name.startsWith('object.') && oldObject.spec == object.spec && object != null";
        let found: Vec<_> = paths(expression, "object").map(|(_, path, _)| path.join("/")).collect();
        assert_eq!(found, ["metadata/labels", "metadata/labels/a/b", "metadata/name", "", "spec", ""]);
        let old: Vec<_> = paths(expression, "oldObject").map(|(_, path, _)| path.join("/")).collect();
        assert_eq!(old, ["spec"]);
    }
}
