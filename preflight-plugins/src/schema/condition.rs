//! One CEL expression over whole objects: the conditions under which a webhook or a policy is called.

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::celvalue::raw;
use super::{celfns, celscan, on_large_stack};

/// Whether the expression is true, with these variables; `None` where that cannot be told. Objects come without the
/// defaults that the server fills in, so a field that is not there is not taken for absent.
pub(crate) fn condition(expression: &str, variables: &[(&str, &Value)]) -> Option<bool> {
    let work = || {
        let shape = celscan::scan(expression)?;
        // What decides about permissions, and what kube-cel has otherwise than the server.
        if shape.words.contains("authorizer") || shape.optional_access || shape.doubled || shape.loops {
            return None;
        }
        // Of fields that are not written the server may have made up some.
        let asks_metadata = |rest: &str| {
            let rest = rest.trim_start().trim_start_matches('(').trim_start();
            ["object.metadata.", "oldObject.metadata.", "request."]
                .iter()
                .any(|known| rest.starts_with(known))
        };
        if expression.split("has(").skip(1).any(|rest| !asks_metadata(rest)) {
            return None;
        }
        let program = Program::compile(expression).ok()?;
        let mut context = Context::default().with_all();
        celfns::register(&mut context);
        for (name, value) in variables {
            context.add_variable_from_value(*name, raw(value));
        }
        match program.execute(&context).ok()? {
            Cel::Bool(holds) => Some(holds),
            _ => None,
        }
    };
    on_large_stack(work).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::condition;

    #[test]
    fn conditions_hold_or_not_or_cannot_be_told() {
        let object = json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"replicas": 3}});
        let request = json!({"operation": "CREATE", "namespace": "shop"});
        for (expression, holds) in [
            ("object.spec.replicas > 2", Some(true)),
            ("request.operation == 'UPDATE'", Some(false)),
            ("'app' in object.metadata.labels && object.metadata.labels.app.startsWith('w')", Some(true)),
            ("has(object.spec.paused)", None),
            ("has(object.metadata.annotations)", Some(false)),
            ("oldObject == null", Some(true)),
            ("object.spec.gone == 1", None),
            ("authorizer.group('').resource('pods').check('get').allowed()", None),
            ("object.spec.replicas", None),
            ("object.", None),
        ] {
            let variables = [("object", &object), ("oldObject", &json!(null)), ("request", &request)];
            assert_eq!(condition(expression, &variables), holds, "{expression}");
        }
    }
}
