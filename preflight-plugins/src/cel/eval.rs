//! Going through the tree of an expression.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, SelectExpr};
use kube_cel::cel::objects::{Key, KeyRef, Map};
use kube_cel::cel::parser::Expression as Tree;
use kube_cel::cel::{ExecutionError, Value as Cel};

use super::{Evaluated, Machine, PARTIAL, Stop, is_maybe, is_partial, is_unknown, optional};

/// Names that are bound around a part of an expression.
pub(super) struct Scope<'s> {
    pub(super) name: &'s str,
    /// The running result of a loop may be an error.
    pub(super) value: Evaluated,
    pub(super) around: Option<&'s Scope<'s>>,
}

pub(super) fn bound<'s>(scope: Option<&'s Scope<'s>>, name: &str) -> Option<&'s Evaluated> {
    let mut at = scope;
    while let Some(scope) = at {
        if scope.name == name {
            return Some(&scope.value);
        }
        at = scope.around;
    }
    None
}

impl Machine<'_, '_> {
    pub(super) fn eval(&self, tree: &Tree, scope: Option<&Scope<'_>>) -> Evaluated {
        self.step()?;
        match &tree.expr {
            Expr::Literal(literal) => literal.to_val().as_ref().try_into().map_err(|error| stop(&error)),
            Expr::Ident(name) => self.named(name, scope),
            Expr::Select(select) => self.select(select, scope),
            Expr::Call(call) => self.call(call, scope),
            Expr::Comprehension(folding) => self.fold(folding, scope),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (at, element) in list.elements.iter().enumerate() {
                    let value = self.eval(element, scope)?;
                    if !list.optional_indices.contains(&at) {
                        items.push(value);
                    } else if let Some(inner) = optional::expect(&value)? {
                        items.push(inner.clone());
                    }
                }
                Ok(Cel::List(Arc::new(items)))
            }
            Expr::Map(map) => {
                let mut fields = HashMap::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return Err(strange()) };
                    let key = key(&self.eval(&entry.key, scope)?)?;
                    put(&mut fields, key, self.eval(&entry.value, scope)?, entry.optional)?;
                }
                Ok(Cel::Map(Map { map: Arc::new(fields) }))
            }
            Expr::Struct(made) => {
                let mut fields = HashMap::new();
                for entry in &made.entries {
                    let EntryExpr::StructField(entry) = &entry.expr else { return Err(strange()) };
                    let key = Key::String(Arc::new(entry.field.clone()));
                    put(&mut fields, key, self.eval(&entry.value, scope)?, entry.optional)?;
                }
                Ok(Cel::Map(Map { map: Arc::new(fields) }))
            }
            Expr::Unspecified => Err(strange()),
        }
    }

    fn named(&self, name: &str, scope: Option<&Scope<'_>>) -> Evaluated {
        if let Some(value) = bound(scope, name) {
            return value.clone();
        }
        if let Some(value) = self.world.values.get(name) {
            return value.clone();
        }
        let known = self.functions.get_variable(name);
        let value = known.and_then(|value| value.as_ref().try_into().ok());
        value.ok_or_else(|| Stop::unknown(format!("{name} is not known here")))
    }

    fn select(&self, select: &SelectExpr, scope: Option<&Scope<'_>>) -> Evaluated {
        if let Expr::Ident(name) = &select.operand.expr
            && name == "variables"
            && bound(scope, name).is_none()
        {
            let value = self.composed(&select.field);
            return if select.test { Ok(Cel::Bool(true)) } else { value };
        }
        let whole = self.eval(&select.operand, scope)?;
        let asked = Cel::String(Arc::new(select.field.clone()));
        if let Some(inner) = optional::inner(&whole) {
            let found = inner.map_or(Ok(None), |inner| find(inner, &asked))?;
            return Ok(if select.test { Cel::Bool(found.is_some()) } else { optional::of(found) });
        }
        let found = find(&whole, &asked)?;
        match (select.test, found) {
            (true, found) => Ok(Cel::Bool(found.is_some())),
            (false, Some(value)) => known(value, &select.field),
            (false, None) => Err(Stop::error(format!("no such key: {}", select.field))),
        }
    }

    /// A loop, as the macros `all`, `exists`, `exists_one`, `map` and `filter` make it.
    fn fold(&self, folding: &ComprehensionExpr, scope: Option<&Scope<'_>>) -> Evaluated {
        let items = items(&self.eval(&folding.iter_range, scope)?)?;
        let mut running = self.eval(&folding.accu_init, scope);
        for (_, item) in items {
            let result = Scope { name: &folding.accu_var, value: running, around: scope };
            if let Ok(Cel::Bool(false)) = self.eval(&folding.loop_cond, Some(&result)) {
                running = result.value;
                break;
            }
            let each =
                Scope { name: &folding.iter_var, value: known(item, "an item"), around: Some(&result) };
            let next = self.eval(&folding.loop_step, Some(&each));
            // Every item is an error then, and so is the result.
            if let Err(Stop::Unknown(why)) = &next
                && self.steps.get() > super::STEPS
            {
                return Err(Stop::Unknown(why.clone()));
            }
            running = next;
        }
        let result = Scope { name: &folding.accu_var, value: running, around: scope };
        self.eval(&folding.result, Some(&result))
    }
}

/// Puts an entry in, or what is in an optional one, if anything.
fn put(fields: &mut HashMap<Key, Cel>, key: Key, value: Cel, optional: bool) -> Result<(), Stop> {
    let value = if optional { optional::expect(&value)?.cloned() } else { Some(value) };
    fields.extend(value.map(|value| (key, value)));
    Ok(())
}

/// The items of a list with their places, or the keys of a map with its values.
pub(super) fn pairs(value: &Cel) -> Result<Vec<(Cel, Cel)>, Stop> {
    match value {
        Cel::List(items) => {
            let places = 0_i64..;
            Ok(places.zip(items.iter()).map(|(at, item)| (Cel::Int(at), item.clone())).collect())
        }
        Cel::Map(map) if is_partial(map) => Err(Stop::unknown("not all fields are known")),
        Cel::Map(map) => {
            let mut all: Vec<(Cel, Cel)> =
                map.map.iter().map(|(key, value)| (of_key(key), value.clone())).collect();
            all.sort_by(|(one, _), (two, _)| one.partial_cmp(two).unwrap_or(std::cmp::Ordering::Equal));
            Ok(all)
        }
        other => Err(wrong("a loop goes through", other)),
    }
}

/// What a loop with one variable goes through: items of a list, keys of a map.
fn items(value: &Cel) -> Result<Vec<(Cel, Cel)>, Stop> {
    let all = pairs(value)?;
    let is_map = matches!(value, Cel::Map(_));
    Ok(all
        .into_iter()
        .map(|(key, value)| if is_map { (Cel::Null, key) } else { (Cel::Null, value) })
        .collect())
}

/// What there is in a map under a key, or in a list at a place. `None`: nothing.
pub(super) fn find(whole: &Cel, asked: &Cel) -> Result<Option<Cel>, Stop> {
    if is_unknown(asked) {
        return Err(Stop::unknown("what is asked for is not known"));
    }
    match whole {
        Cel::Map(map) => match map.map.get(&key(asked)?) {
            Some(value) if !is_maybe(value) => Ok(Some(value.clone())),
            None if map.get(&KeyRef::String(PARTIAL)).is_none() => Ok(None),
            _ => Err(Stop::unknown(format!("whether there is {} is not known", told(asked)))),
        },
        Cel::List(items) => {
            let at = match asked {
                Cel::Int(at) => usize::try_from(*at).ok(),
                Cel::UInt(at) => usize::try_from(*at).ok(),
                other => return Err(wrong("a list is asked for", other)),
            };
            Ok(at.and_then(|at| items.get(at)).cloned())
        }
        other => Err(wrong("a field is asked of", other)),
    }
}

/// The value, if it is known.
pub(super) fn known(value: Cel, name: &str) -> Evaluated {
    if is_unknown(&value) {
        return Err(Stop::unknown(format!("{name} is made up when it is applied")));
    }
    Ok(value)
}

pub(super) fn key(value: &Cel) -> Result<Key, Stop> {
    match value {
        Cel::String(text) => Ok(Key::String(Arc::clone(text))),
        Cel::Int(int) => Ok(Key::Int(*int)),
        Cel::UInt(int) => Ok(Key::Uint(*int)),
        Cel::Bool(bool) => Ok(Key::Bool(*bool)),
        other => Err(wrong("a map is asked for", other)),
    }
}

pub(super) fn of_key(key: &Key) -> Cel {
    match key {
        Key::Int(int) => Cel::Int(*int),
        Key::Uint(int) => Cel::UInt(*int),
        Key::Bool(bool) => Cel::Bool(*bool),
        Key::String(text) => Cel::String(Arc::clone(text)),
    }
}

fn told(value: &Cel) -> String {
    match value {
        Cel::String(text) => (**text).clone(),
        other => format!("{other:?}"),
    }
}

/// The server has no such operation for a value of that type either. What is in an opaque value is not known here.
pub(super) fn wrong(what: &str, value: &Cel) -> Stop {
    match value {
        Cel::Opaque(_) | Cel::Function(..) => {
            Stop::unknown(format!("{what} something that is not understood"))
        }
        other => Stop::error(format!("no such overload: {what} {}", kind(other))),
    }
}

/// The name of a value's type.
pub(crate) fn kind(value: &Cel) -> &'static str {
    match value {
        Cel::Int(_) => "int",
        Cel::UInt(_) => "uint",
        Cel::Float(_) => "double",
        Cel::Bool(_) => "bool",
        Cel::String(_) => "string",
        Cel::Bytes(_) => "bytes",
        Cel::List(_) => "list",
        Cel::Map(_) => "map",
        Cel::Null => "null_type",
        Cel::Timestamp(_) => "timestamp",
        Cel::Duration(_) => "duration",
        _ => "opaque",
    }
}

fn strange() -> Stop {
    Stop::unknown("a part of it is not understood")
}

/// An error of the `cel` crate, or of kube-cel. Few are those of the server for certain.
pub(super) fn stop(error: &ExecutionError) -> Stop {
    let text: String = error.to_string().chars().take(100).collect();
    match error {
        ExecutionError::NoSuchKey(_)
        | ExecutionError::IndexOutOfBounds(_)
        | ExecutionError::DivisionByZero(_)
        | ExecutionError::RemainderByZero(_)
        | ExecutionError::Overflow(..) => Stop::Error(text),
        _ => Stop::Unknown(text),
    }
}
