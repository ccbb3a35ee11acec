//! Optional values, and what can be asked of them.

use std::sync::Arc;

use kube_cel::cel::Value as Cel;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::objects::OptionalValue;

use super::eval::{Scope, known, wrong};
use super::{Evaluated, Machine, Stop};

/// A value that is there, or nothing.
pub(super) fn of(value: Option<Cel>) -> Cel {
    Cel::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}

/// What is in an optional value; the outer `None` for a value that is not optional.
#[expect(clippy::option_option, reason = "a value that is not optional is something else than nothing")]
pub(super) fn inner(value: &Cel) -> Option<Option<&Cel>> {
    match value {
        Cel::Opaque(opaque) => opaque.downcast_ref::<OptionalValue>().map(OptionalValue::value),
        _ => None,
    }
}

/// What is in a value that must be optional.
pub(super) fn expect(value: &Cel) -> Result<Option<&Cel>, Stop> {
    inner(value).ok_or_else(|| wrong("optional", value))
}

impl Machine<'_, '_> {
    /// Functions of and about optional values; `None` where the call is none of them.
    pub(super) fn optional(&self, call: &CallExpr, scope: Option<&Scope<'_>>) -> Option<Evaluated> {
        let target = call.target.as_deref()?;
        let argument = || match call.args.first() {
            Some(tree) => self.eval(tree, scope),
            None => Err(Stop::unknown("an argument is missing")),
        };
        if matches!(&target.expr, Expr::Ident(name) if name == "optional") {
            return match call.func_name.as_str() {
                "none" => Some(Ok(of(None))),
                "of" => Some(argument().map(|value| of(Some(value)))),
                "ofNonZeroValue" => Some(
                    argument().and_then(|value| Ok(of(if is_zero(&value)? { None } else { Some(value) }))),
                ),
                _ => None,
            };
        }
        let name = call.func_name.as_str();
        if !["hasValue", "value", "orValue", "or", "optMap", "optFlatMap"].contains(&name) {
            return None;
        }
        let whole = match self.eval(target, scope) {
            Ok(whole) => whole,
            Err(stop) => return Some(Err(stop)),
        };
        let inner = match expect(&whole) {
            Ok(inner) => inner.cloned(),
            Err(stop) => return Some(Err(stop)),
        };
        Some(match (name, inner) {
            ("hasValue", inner) => Ok(Cel::Bool(inner.is_some())),
            ("value", None) => Err(Stop::error("optional.none() dereference")),
            ("value" | "orValue", Some(value)) => known(value, "an optional field"),
            ("orValue" | "or", None) => argument(),
            ("or", Some(_)) => Ok(whole),
            (_, None) => Ok(of(None)),
            (_, Some(value)) => self.mapped(call, value, scope),
        })
    }

    /// `optMap(x, e)` and `optFlatMap(x, e)` of a value that is there.
    fn mapped(&self, call: &CallExpr, value: Cel, scope: Option<&Scope<'_>>) -> Evaluated {
        let [variable, tree] = call.args.as_slice() else {
            return Err(Stop::unknown("an argument is missing"));
        };
        let Expr::Ident(name) = &variable.expr else { return Err(Stop::unknown("a name is missing")) };
        let each = Scope { name, value: known(value, name), around: scope };
        let made = self.eval(tree, Some(&each))?;
        Ok(if call.func_name == "optMap" { of(Some(made)) } else { made })
    }
}

fn is_zero(value: &Cel) -> Result<bool, Stop> {
    Ok(match value {
        Cel::Null => true,
        Cel::Bool(bool) => !bool,
        Cel::Int(int) => *int == 0,
        Cel::UInt(int) => *int == 0,
        Cel::Float(float) => *float == 0.0,
        Cel::String(text) => text.is_empty(),
        Cel::Bytes(bytes) => bytes.is_empty(),
        Cel::List(items) => items.is_empty(),
        Cel::Map(map) if super::is_partial(map) => return Err(Stop::unknown("not all fields are known")),
        Cel::Map(map) => map.map.is_empty(),
        other => return Err(wrong("zero", other)),
    })
}
