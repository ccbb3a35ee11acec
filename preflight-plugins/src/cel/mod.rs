//! CEL over values of which some are not known.
//!
//! Expressions are parsed by the `cel` crate, which also has the functions, together with kube-cel. Going through the
//! tree is done here, for three reasons: what is not known (a name that the server makes up, a field that it may fill
//! in) must not be taken for something else; an error in one item of a list may be made good by another; and fields of
//! optional values are those of the language's specification. A result is therefore a value, an error that the server
//! makes too, or not known, with the reason.

mod calls;
mod eval;
mod operators;
mod optional;
mod two_variables;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, KeyRef, Map};
use kube_cel::cel::parser::{Expression as Tree, Parser};
use kube_cel::cel::{Context, Value as Cel};
use serde_json::Value;

use crate::schema::{celfns, celscan, on_large_stack};
pub(crate) use eval::kind;

/// Stands for a value that is there, and that nobody knows.
pub const UNKNOWN: &str = "\u{1}unknown";
/// Stands for a value of which it is not known either whether it is there.
pub const MAYBE: &str = "\u{1}maybe";
/// A key that says of an object that it may have more fields than are written.
pub const PARTIAL: &str = "\u{1}partial";
/// How many steps one expression may take.
const STEPS: u32 = 500_000;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The server comes to an error too.
    Error(String),
    /// What the server comes to is not known.
    Unknown(String),
}

pub(crate) type Evaluated = Result<Cel, Stop>;

impl Stop {
    fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown(why.into())
    }

    fn error(why: impl Into<String>) -> Self {
        Self::Error(why.into())
    }
}

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Expression {
    text: String,
    tree: Option<Tree>,
}

impl Expression {
    /// Reads an expression. One that cannot be read here evaluates to "not known".
    pub(crate) fn new(text: &str) -> Self {
        // The `cel` crate takes `!!` for `!`.
        let readable = celscan::scan(text).is_some_and(|shape| !shape.doubled);
        let parser = Parser::default().enable_optional_syntax(true);
        let tree = if readable { parser.parse(text).ok() } else { None };
        Self { text: text.to_owned(), tree }
    }

    /// Whether it names a variable.
    pub(crate) fn names(&self, variable: &str) -> bool {
        self.tree.as_ref().is_some_and(|tree| tree.references().has_variable(variable))
    }

    /// Whether it could be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.tree.is_some()
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }
}

/// What expressions can name.
#[derive(Debug, Default)]
pub(crate) struct World<'a> {
    /// `object`, `request` and so on. What is not known is said why.
    values: BTreeMap<&'static str, Evaluated>,
    /// Those under `variables`, each evaluated when it is asked for.
    variables: &'a [(String, Expression)],
}

impl<'a> World<'a> {
    /// A world with these composed variables, which may name those before them.
    pub(crate) fn new(variables: &'a [(String, Expression)]) -> Self {
        Self { values: BTreeMap::new(), variables }
    }

    /// Gives a value a name.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &Value) -> Self {
        self.values.insert(name, Ok(cel(value)));
        self
    }

    /// Gives a value a name that is one already.
    #[must_use]
    pub(crate) fn with_value(mut self, name: &'static str, value: Cel) -> Self {
        self.values.insert(name, Ok(value));
        self
    }

    /// Says why the value of a name is not known.
    #[must_use]
    pub(crate) fn without(mut self, name: &'static str, why: impl Into<String>) -> Self {
        self.values.insert(name, Err(Stop::unknown(why)));
        self
    }

    /// Evaluates one expression, with [`functions`]. The stack must be large.
    pub(crate) fn evaluate_with(&self, functions: &Context<'static>, expression: &Expression) -> Evaluated {
        Machine::new(self, functions).run(expression)
    }

    /// Evaluates each expression.
    pub(crate) fn evaluate(&self, expressions: &[&Expression]) -> Vec<Evaluated> {
        let work = || {
            let functions = functions();
            let machine = Machine::new(self, &functions);
            expressions.iter().map(|expression| machine.run(expression)).collect()
        };
        let failed = || vec![Err(Stop::unknown("it cannot be evaluated")); expressions.len()];
        on_large_stack(work).unwrap_or_else(failed)
    }
}

/// The functions that expressions have.
pub(crate) fn functions() -> Context<'static> {
    let mut functions = Context::default().with_all();
    celfns::register(&mut functions);
    functions
}

/// What evaluates expressions in one world.
struct Machine<'w, 'a> {
    world: &'w World<'a>,
    functions: &'w Context<'static>,
    composed: RefCell<BTreeMap<usize, Evaluated>>,
    steps: Cell<u32>,
}

impl<'w, 'a> Machine<'w, 'a> {
    fn new(world: &'w World<'a>, functions: &'w Context<'static>) -> Self {
        Self { world, functions, composed: RefCell::default(), steps: Cell::new(0) }
    }

    fn run(&self, expression: &Expression) -> Evaluated {
        let Some(tree) = &expression.tree else {
            return Err(Stop::unknown("it cannot be read here"));
        };
        self.eval(tree, None)
    }

    /// The value of a variable under `variables`.
    fn composed(&self, name: &str) -> Evaluated {
        let found = self.world.variables.iter().position(|(own, _)| own == name);
        let Some(at) = found else { return Err(Stop::error(format!("no such variable: {name}"))) };
        if let Some(known) = self.composed.borrow().get(&at) {
            return known.clone();
        }
        let value = self
            .world
            .variables
            .get(at)
            .map_or_else(|| Err(Stop::unknown("it is not there")), |(_, expression)| self.run(expression));
        self.composed.borrow_mut().insert(at, value.clone());
        value
    }

    fn step(&self) -> Result<(), Stop> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS { Err(Stop::unknown("it takes too much work")) } else { Ok(()) }
    }
}

/// A value as it is, whatever a schema may say of it.
pub(crate) fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Cel::Int(int),
            None => Cel::Float(number.as_f64().unwrap_or(f64::MAX)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(cel).collect())),
        Value::Object(fields) => {
            let map = fields.iter().map(|(key, it)| (Key::String(Arc::new(key.clone())), cel(it))).collect();
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}

/// The JSON of a value; `None` for what is none, or not known.
pub(crate) fn json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(bool) => Value::Bool(*bool),
        Cel::Int(int) => Value::from(*int),
        Cel::UInt(int) => Value::from(*int),
        Cel::Float(float) => Value::from(*float),
        Cel::String(text) => Value::String((**text).clone()),
        Cel::List(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let fields = map.map.iter().map(|(key, value)| match key {
                Key::String(key) => Some(((**key).clone(), json(value)?)),
                _ => None,
            });
            Value::Object(fields.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn is_unknown(value: &Cel) -> bool {
    matches!(value, Cel::String(text) if text.as_str() == UNKNOWN || text.as_str() == MAYBE)
}

fn is_maybe(value: &Cel) -> bool {
    matches!(value, Cel::String(text) if text.as_str() == MAYBE)
}

/// Whether there may be more fields than are known to be there.
fn is_partial(map: &Map) -> bool {
    map.get(&KeyRef::String(PARTIAL)).is_some() || map.map.values().any(is_maybe)
}

/// Whether something in a value is not known.
fn has_unknown(value: &Cel) -> bool {
    match value {
        Cel::List(items) => items.iter().any(has_unknown),
        Cel::Map(map) => is_partial(map) || map.map.values().any(has_unknown),
        Cel::Opaque(_) => optional::inner(value).flatten().is_some_and(has_unknown),
        other => is_unknown(other),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
