//! Functions, which the `cel` crate and kube-cel have.

use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::{ExecutionError, Value as Cel};

use super::eval::{Scope, bound, stop, wrong};
use super::{Evaluated, Machine, Stop, has_unknown, is_partial, is_unknown};

/// Functions of texts. Of anything else the server has none either.
const OF_TEXTS: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];
/// What a prefix stands for that is no value: `math.greatest`.
const PREFIXES: [&str; 10] =
    ["optional", "math", "sets", "lists", "strings", "base64", "format", "ip", "cidr", "jsonpatch"];

impl Machine<'_, '_> {
    pub(super) fn call(&self, call: &CallExpr, scope: Option<&Scope<'_>>) -> Evaluated {
        if let Some(value) = self.operator(call, scope) {
            return value;
        }
        if let Some(value) = self.two_variables(call, scope) {
            return value;
        }
        if let Some(value) = self.optional(call, scope) {
            return value;
        }
        let prefix = call.target.as_deref().filter(|target| {
            matches!(&target.expr, Expr::Ident(name)
                if PREFIXES.contains(&name.as_str()) && bound(scope, name).is_none())
        });
        let target = match (&call.target, prefix) {
            (Some(target), None) => Some(self.eval(target, scope)),
            _ => None,
        };
        let mut values = Vec::with_capacity(call.args.len());
        let mut failed: Option<Stop> = None;
        let arguments = call.args.iter().map(|tree| self.eval(tree, scope));
        for value in target.into_iter().chain(arguments) {
            match (value, &failed) {
                (Ok(value), _) => values.push(value),
                // What is not known may be an error as well as not.
                (Err(stop), None | Some(Stop::Error(_))) => failed = Some(stop),
                (Err(_), Some(Stop::Unknown(_))) => {}
            }
        }
        if let Some(stop) = failed {
            return Err(stop);
        }
        let is_method = call.target.is_some() && prefix.is_none();
        self.apply(call, prefix, is_method, values)
    }

    fn apply(
        &self,
        call: &CallExpr,
        prefix: Option<&IdedExpr>,
        is_method: bool,
        values: Vec<Cel>,
    ) -> Evaluated {
        let name = call.func_name.as_str();
        if is_distrusted(name, &values) {
            return Err(Stop::unknown(format!("{name}() is not what it is on the server for every value")));
        }
        match (name, values.first()) {
            ("dyn", Some(value)) if !is_method => return Ok(value.clone()),
            // How many items there are is known, whatever they are.
            ("size", Some(Cel::List(_))) => {}
            ("size", Some(Cel::Map(map))) if !is_partial(map) => {}
            _ if values.iter().any(has_unknown) => {
                return Err(Stop::unknown(format!("{name}() is asked of what is not known")));
            }
            ("string" | "format", _) if values.iter().any(has_fraction) => {
                return Err(Stop::unknown("it writes fractions as text"));
            }
            ("split", _)
                if values.iter().any(|value| matches!(value, Cel::String(text) if text.is_empty())) =>
            {
                return Err(Stop::unknown("it splits a text into characters"));
            }
            (_, Some(Cel::Timestamp(_))) if values.len() > 1 => {
                return Err(Stop::unknown("it goes by a time zone"));
            }
            _ => {}
        }
        let mut context = self.functions.new_inner_scope();
        let mut names = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let name = format!("@{at}");
            context.add_variable_from_value(name.clone(), value.clone());
            names.push(IdedExpr { id: 0, expr: Expr::Ident(name) });
        }
        let target = match (is_method, prefix) {
            (true, _) if !names.is_empty() => Some(Box::new(names.remove(0))),
            (_, Some(prefix)) => Some(Box::new(prefix.clone())),
            _ => None,
        };
        let made = CallExpr { func_name: call.func_name.clone(), target, args: names };
        let made = IdedExpr { id: 0, expr: Expr::Call(made) };
        match Cel::resolve(&made, &context) {
            Ok(value) if is_unknown(&value) => Err(Stop::unknown("it is made up when it is applied")),
            Ok(value) => Ok(value),
            Err(ExecutionError::UndeclaredReference(name)) => {
                Err(Stop::unknown(format!("{name}() is not known here")))
            }
            Err(error) => match values.first() {
                Some(first) if OF_TEXTS.contains(&name) && !matches!(first, Cel::String(_)) => {
                    Err(wrong(name, first))
                }
                _ => Err(stop(&error)),
            },
        }
    }
}

/// Functions that kube-cel, or the `cel` crate, has otherwise than the server for some values.
fn is_distrusted(name: &str, values: &[Cel]) -> bool {
    let simple = |value: &Cel| matches!(value, Cel::String(_) | Cel::Int(_) | Cel::Bool(_));
    match name {
        "isQuantity" | "isCIDR" | "isURL" | "url" | "asInteger" | "asApproximateFloat" | "isSemver"
        | "semver" => true,
        "quantity" => values.iter().any(|value| matches!(value, Cel::String(text) if text.contains('E'))),
        "string" => !values.iter().all(simple),
        "format" => match values.get(1) {
            Some(Cel::List(items)) => !items.iter().all(simple),
            _ => true,
        },
        "indexOf" | "lastIndexOf" => values.len() > 2,
        "replace" => values.len() > 3,
        _ => false,
    }
}

/// Whether there is a number with a fraction, or written as one, in the value.
fn has_fraction(value: &Cel) -> bool {
    match value {
        Cel::List(items) => items.iter().any(has_fraction),
        Cel::Map(map) => map.map.values().any(has_fraction),
        other => matches!(other, Cel::Float(_)),
    }
}
