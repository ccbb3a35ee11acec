//! The rules under `x-kubernetes-validations`.
//!
//! `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go`, v1.36. Evaluated by the `cel`
//! module with the functions of kube-cel, but not by its `Validator`, which goes through a schema otherwise: it escapes
//! `_`, evaluates rules under `anyOf` and `oneOf`, pairs items of lists with old ones by index, and knows no ratcheting.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, Value as Cel};
use serde_json::Value;

use super::celfns::steps;
use super::celscan::{self, Shape};
use super::celvalue::{
    Converter, any_fraction, any_incomparable, any_repeats, any_sorts, names_sorted, plain, size,
};
use super::{Judgement, Kind, Segment, field_schema, flag, lists, on_large_stack, shorten, values};
use crate::cel::{Evaluated, Expression, Stop, World, functions};

/// Work that all rules together may make, in values looked at.
const BUDGET: u64 = 20_000_000;
const RULES: &str = "x-kubernetes-validations";

/// Evaluates all rules.
pub(super) fn validate(schema: &Value, object: &Value, live: Option<&Value>, judgement: &mut Judgement) {
    if !has_rules(schema) {
        return;
    }
    let work = || {
        let mut walker = Walker::new(object);
        let place = Place { new: object, old: live, root: true };
        walker.node(schema, schema, place, Ratchet { current: live, parent: None });
        walker.found
    };
    let Some(found) = on_large_stack(work) else {
        judgement.wonder(&[], "the CEL rules could not be evaluated");
        return;
    };
    judgement.undecided.extend(found.undecided);
    judgement.violations.extend(found.violations);
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.iter().any(|(key, it)| (key == RULES && it.is_array()) || has_rules(it))
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

/// A value and what it replaces.
#[derive(Clone, Copy)]
struct Place<'a> {
    new: &'a Value,
    /// What `oldSelf` is.
    old: Option<&'a Value>,
    root: bool,
}

/// What decides whether a broken rule counts on an update.
#[derive(Clone, Copy)]
struct Ratchet<'a> {
    /// What the value replaces, if that can be told.
    current: Option<&'a Value>,
    /// The nearest value around it that replaces something: its schema, it, and what it replaces.
    parent: Option<(&'a Value, &'a Value, &'a Value)>,
}

impl<'a> Ratchet<'a> {
    fn spares(self, schema: &Value, value: &Value) -> bool {
        match (self.current, self.parent) {
            (Some(old), _) => lists::same(Some(schema), value, old),
            (None, Some((schema, new, old))) => lists::same(Some(schema), new, old),
            (None, None) => false,
        }
    }

    fn below(
        self,
        schema: &'a Value,
        value: &'a Value,
        old: impl FnOnce(&'a Value) -> Option<&'a Value>,
    ) -> Self {
        match self.current {
            Some(current) => Self { current: old(current), parent: Some((schema, value, current)) },
            None => self,
        }
    }
}

struct Rule {
    expression: Expression,
    shape: Shape,
    transition: bool,
}

struct Walker<'a> {
    context: Context<'static>,
    rules: HashMap<&'a str, Option<Arc<Rule>>>,
    path: Vec<Segment>,
    budget: u64,
    unnamed: bool,
    found: Judgement,
}

impl<'a> Walker<'a> {
    fn new(object: &Value) -> Self {
        let context = functions();
        let unnamed = values::unnamed(object);
        Self {
            context,
            rules: HashMap::new(),
            path: Vec::new(),
            budget: BUDGET,
            unnamed,
            found: Judgement::default(),
        }
    }

    /// `rules` is where rules are, `schema` what the value is: they differ below `allOf`.
    fn node(&mut self, rules: &'a Value, schema: &'a Value, place: Place<'a>, ratchet: Ratchet<'a>) {
        if place.new.is_null() || self.found.full() {
            return;
        }
        for rule in rules.get(RULES).and_then(Value::as_array).into_iter().flatten() {
            self.rule(rule, schema, place, ratchet);
        }
        for branch in rules.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.node(branch, schema, place, Ratchet { current: None, ..ratchet });
        }
        match place.new {
            Value::Object(fields) => {
                for (key, field) in fields {
                    let (Some(rules), Some(below)) = (field_schema(rules, key), field_schema(schema, key))
                    else {
                        continue;
                    };
                    let typed = place.root && ["apiVersion", "kind"].contains(&key.as_str());
                    let ratchet = match typed {
                        true => Ratchet { current: None, parent: None },
                        false => ratchet.below(schema, place.new, |old| old.get(key)),
                    };
                    let old = place.old.and_then(|old| old.get(key));
                    self.path.push(Segment::Key(key.clone()));
                    self.node(rules, below, Place { new: field, old, root: false }, ratchet);
                    self.path.pop();
                }
            }
            Value::Array(items) => {
                let (Some(rules), Some(below)) = (rules.get("items"), schema.get("items")) else { return };
                for (at, item) in items.iter().enumerate() {
                    let old = place.old.and_then(|old| lists::correlated(schema, item, old));
                    let ratchet =
                        ratchet.below(schema, place.new, |old| lists::correlated(schema, item, old));
                    self.path.push(Segment::Index(at));
                    self.node(rules, below, Place { new: item, old, root: false }, ratchet);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, raw: &'a Value, schema: &Value, place: Place<'a>, ratchet: Ratchet<'a>) {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().trim();
        let code = raw.get("rule").and_then(Value::as_str).unwrap_or_default();
        if code.trim().is_empty() {
            return;
        }
        let Some(rule) = self.compiled(code) else {
            return self.wonder(code, "it cannot be compiled here");
        };
        let optional = flag(raw, "optionalOldSelf");
        if rule.transition && place.old.is_none() && !optional {
            return;
        }
        if self.unnamed && place.root && rule.shape.metadata {
            return self.wonder(code, "the server has yet to name the object");
        }
        let old = place.old.filter(|_| rule.transition);
        let sorts = any_sorts(place.new, schema) || old.is_some_and(|old| any_sorts(old, schema));
        if let Some(why) = distrust(&rule.shape, schema, place, optional && rule.transition) {
            return self.wonder(code, why);
        }
        let values = size(place.new) + old.map(size).unwrap_or_default();
        let cost = values.saturating_mul(2).saturating_pow(rule.shape.nesting.max(1)).max(100);
        if cost > self.budget {
            return self.wonder(code, "it takes too much work");
        }
        self.budget -= cost;
        let outcome = self.evaluate(&rule, schema, Place { old, ..place }, optional, false);
        let again = sorts.then(|| self.evaluate(&rule, schema, Place { old, ..place }, optional, true));
        let outcome = match (outcome, again) {
            (None, _) => return self.wonder(code, "its values are not understood here"),
            (Some(Ok(Cel::Bool(one))), Some(Some(Ok(Cel::Bool(two))))) if one != two => {
                return self.wonder(code, "the order of a list matters to it");
            }
            (Some(Ok(_)), Some(None | Some(Err(_)))) | (Some(Err(_)), Some(None | Some(Ok(_)))) => {
                return self.wonder(code, "the order of a list matters to it");
            }
            (Some(outcome), _) => outcome,
        };
        let message = match outcome {
            Ok(Cel::Bool(true)) => return,
            Ok(Cel::Bool(false)) => {
                if !rule.transition && ratchet.spares(schema, place.new) {
                    return;
                }
                let told = self.told(text("messageExpression"), schema, Place { old, ..place }, optional);
                match told.filter(|told| !told.is_empty()) {
                    Some(told) => told,
                    None if text("message").is_empty() => {
                        format!("breaks the rule {}", shorten(code.trim(), 200))
                    }
                    None => text("message").to_owned(),
                }
            }
            Ok(_) => return self.wonder(code, "its result is not true or false"),
            Err(Stop::Error(error)) => {
                format!("fails the rule {}: {}", shorten(code.trim(), 200), shorten(&error, 100))
            }
            Err(Stop::Unknown(why)) => return self.wonder(code, &shorten(&why, 100)),
        };
        let mut path = self.path.clone();
        path.extend(steps(text("fieldPath")));
        self.found.refuse(&path, Kind::Cel, shorten(&message, 500));
    }

    fn compiled(&mut self, code: &'a str) -> Option<Arc<Rule>> {
        let compile = || {
            let shape = celscan::scan(code)?;
            let expression = Expression::new(code);
            let transition = expression.names("oldSelf");
            expression.is_readable().then(|| Arc::new(Rule { expression, shape, transition }))
        };
        self.rules.entry(code).or_insert_with(compile).clone()
    }

    fn evaluate(
        &self,
        rule: &Rule,
        schema: &Value,
        place: Place<'_>,
        optional: bool,
        sorted: bool,
    ) -> Option<Evaluated> {
        let converter = Converter { context: &self.context, shape: &rule.shape, sorted };
        let mut world = World::new(&[]).with_value("self", converter.value(place.new, schema, place.root)?);
        let old = match place.old {
            Some(old) => Some(converter.value(old, schema, place.root)?),
            None => None,
        };
        if optional {
            let old = old.map_or_else(OptionalValue::none, OptionalValue::of);
            world = world.with_value("oldSelf", Cel::Opaque(Arc::new(old)));
        } else if let Some(old) = old {
            world = world.with_value("oldSelf", old);
        }
        Some(world.evaluate_with(&self.context, &rule.expression))
    }

    /// The message that a rule makes up. What fails is left out, as on the server.
    fn told(&mut self, code: &'a str, schema: &Value, place: Place<'_>, optional: bool) -> Option<String> {
        let rule = self.compiled(code).filter(|rule| rule.shape.nesting < 2)?;
        match self.evaluate(&rule, schema, place, optional, false)?.ok()? {
            Cel::String(text) if !text.trim().contains('\n') => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    fn wonder(&mut self, code: &str, why: &str) {
        self.found
            .wonder(&self.path, format!("the rule {} was not decided: {why}", shorten(code.trim(), 100)));
    }
}

/// Why the result of a rule here says nothing about its result on the server.
fn distrust(shape: &Shape, schema: &Value, place: Place<'_>, optional: bool) -> Option<&'static str> {
    if optional && place.old.is_some_and(|old| !plain(old, schema)) {
        return Some("it sees the old value otherwise on the server");
    }
    if shape.compares_whole()
        && (any_incomparable(place.new, schema) || place.old.is_some_and(|old| any_incomparable(old, schema)))
    {
        return Some("it may compare lists that the server compares otherwise");
    }
    let names = || names_sorted(schema, "self", &shape.words);
    if (shape.compares_list || (shape.compares && any_repeats(place.new))) && names() {
        return Some("it may compare lists whose order does not matter");
    }
    if shape.plus && names() {
        return Some("it may join lists whose order does not matter");
    }
    if shape.printing && any_fraction(place.new) {
        return Some("it writes numbers as text");
    }
    None
}

#[cfg(test)]
#[path = "cel_tests.rs"]
mod tests;
