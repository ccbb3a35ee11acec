//! Operators.

use std::cmp::Ordering;

use kube_cel::cel::Value as Cel;
use kube_cel::cel::common::ast::{CallExpr, operators};

use super::eval::{Scope, find, key, kind, known, stop, wrong};
use super::{Evaluated, Machine, Stop, has_unknown, is_maybe, is_partial, is_unknown, optional};

impl Machine<'_, '_> {
    /// The value of an operator; `None` where the call is none.
    pub(super) fn operator(&self, call: &CallExpr, scope: Option<&Scope<'_>>) -> Option<Evaluated> {
        let value = |at: usize| match call.args.get(at) {
            Some(tree) => self.eval(tree, scope),
            None => Err(Stop::unknown("an operand is missing")),
        };
        let both = |work: &dyn Fn(Cel, Cel) -> Evaluated| {
            let (one, two) = (value(0), value(1));
            // What is not known may be an error as well as not.
            match (one, two) {
                (Err(Stop::Unknown(why)), _) | (_, Err(Stop::Unknown(why))) => Err(Stop::Unknown(why)),
                (Err(error), _) | (_, Err(error)) => Err(error),
                (Ok(one), Ok(two)) => work(one, two),
            }
        };
        Some(match call.func_name.as_str() {
            operators::LOGICAL_AND => either(value(0), || value(1), false),
            operators::LOGICAL_OR => either(value(0), || value(1), true),
            operators::CONDITIONAL => match value(0) {
                Ok(Cel::Bool(true)) => value(1),
                Ok(Cel::Bool(false)) => value(2),
                Ok(other) => Err(wrong("a condition is", &other)),
                Err(stop) => Err(stop),
            },
            operators::LOGICAL_NOT => value(0).and_then(|value| match value {
                Cel::Bool(bool) => Ok(Cel::Bool(!bool)),
                other => Err(wrong("not", &other)),
            }),
            operators::NEGATE => value(0).and_then(|value| match value {
                Cel::Int(int) => int.checked_neg().map(Cel::Int).ok_or_else(|| Stop::error("overflow")),
                Cel::Float(float) => Ok(Cel::Float(-float)),
                other => Err(wrong("minus", &other)),
            }),
            operators::NOT_STRICTLY_FALSE => Ok(Cel::Bool(!matches!(value(0), Ok(Cel::Bool(false))))),
            operators::EQUALS => both(&|one, two| equal(&one, &two).map(Cel::Bool)),
            operators::NOT_EQUALS => both(&|one, two| equal(&one, &two).map(|same| Cel::Bool(!same))),
            operators::LESS => {
                both(&|one, two| compare(&one, &two).map(|it| Cel::Bool(it == Some(Ordering::Less))))
            }
            operators::LESS_EQUALS => both(&|one, two| {
                let order = compare(&one, &two)?;
                Ok(Cel::Bool(matches!(order, Some(Ordering::Less | Ordering::Equal))))
            }),
            operators::GREATER => {
                both(&|one, two| compare(&one, &two).map(|it| Cel::Bool(it == Some(Ordering::Greater))))
            }
            operators::GREATER_EQUALS => both(&|one, two| {
                let order = compare(&one, &two)?;
                Ok(Cel::Bool(matches!(order, Some(Ordering::Greater | Ordering::Equal))))
            }),
            operators::IN => both(&|one, two| contains(&two, &one).map(Cel::Bool)),
            operators::ADD => both(&|one, two| calculated(&one, &two, one.clone() + two.clone())),
            operators::SUBSTRACT => both(&|one, two| calculated(&one, &two, one.clone() - two.clone())),
            operators::MULTIPLY => both(&|one, two| calculated(&one, &two, one.clone() * two.clone())),
            operators::DIVIDE => both(&|one, two| calculated(&one, &two, one.clone() / two.clone())),
            operators::MODULO => both(&|one, two| calculated(&one, &two, one.clone() % two.clone())),
            operators::INDEX => both(&|whole, asked| index(&whole, &asked, false)),
            operators::OPT_INDEX | operators::OPT_SELECT => both(&|whole, asked| index(&whole, &asked, true)),
            _ => return None,
        })
    }
}

/// `||` where `decides` is true, `&&` where it is false: one side may decide whatever the other is.
pub(super) fn either(one: Evaluated, two: impl FnOnce() -> Evaluated, decides: bool) -> Evaluated {
    if one == Ok(Cel::Bool(decides)) {
        return one;
    }
    let two = two();
    let boolean = |value: &Evaluated| match value {
        Ok(Cel::Bool(_)) => Ok(()),
        Ok(other) => Err(wrong("a condition is", other)),
        Err(stop) => Err(stop.clone()),
    };
    match (boolean(&one), boolean(&two)) {
        _ if two == Ok(Cel::Bool(decides)) => two,
        (Err(Stop::Unknown(why)), _) | (_, Err(Stop::Unknown(why))) => Err(Stop::Unknown(why)),
        (Err(stop), _) | (_, Err(stop)) => Err(stop),
        (Ok(()), Ok(())) => Ok(Cel::Bool(!decides)),
    }
}

/// `a[b]`, `a[?b]` and `a.?b`. What follows something optional is optional.
fn index(whole: &Cel, asked: &Cel, optional: bool) -> Evaluated {
    match optional::inner(whole) {
        Some(None) => Ok(optional::of(None)),
        Some(Some(inner)) => Ok(optional::of(find(inner, asked)?)),
        None if optional => Ok(optional::of(find(whole, asked)?)),
        None => match find(whole, asked)? {
            Some(value) => known(value, "a field"),
            None if matches!(whole, Cel::List(_)) => Err(Stop::error("index out of bounds")),
            None => Err(Stop::error("no such key")),
        },
    }
}

/// What the `cel` crate calculated. It has operators for fewer types than the server, and for none more.
fn calculated(one: &Cel, two: &Cel, result: Result<Cel, kube_cel::cel::ExecutionError>) -> Evaluated {
    if is_unknown(one) || is_unknown(two) {
        return Err(Stop::unknown("it is made of what is not known"));
    }
    let plain =
        |value: &Cel| !matches!(value, Cel::Timestamp(_) | Cel::Duration(_) | Cel::Bytes(_) | Cel::Opaque(_));
    result.map_err(|error| match stop(&error) {
        Stop::Unknown(why) if plain(one) && plain(two) => Stop::Error(why),
        other => other,
    })
}

/// Whether two values are equal. Numbers are compared by what they are worth, values of different types are not equal.
pub(super) fn equal(one: &Cel, two: &Cel) -> Result<bool, Stop> {
    let unsure = || Stop::unknown("it compares what is not known");
    match (one, two) {
        _ if is_unknown(one) || is_unknown(two) => Err(unsure()),
        (Cel::List(one), Cel::List(two)) => {
            if one.len() != two.len() {
                return Ok(false);
            }
            all(one.iter().zip(two.iter()).map(|(one, two)| equal(one, two)))
        }
        (Cel::Map(one), Cel::Map(two)) => {
            let missing = |of: &kube_cel::cel::objects::Map, from: &kube_cel::cel::objects::Map| {
                let there = of.map.iter().filter(|(_, value)| !is_maybe(value));
                !is_partial(from) && there.into_iter().any(|(key, _)| !from.map.contains_key(key))
            };
            if missing(one, two) || missing(two, one) {
                return Ok(false);
            }
            let known = one.map.iter().filter(|(_, own)| !is_maybe(own));
            let shared = known.filter_map(|(key, own)| Some(equal(own, two.map.get(key)?)));
            match all(shared)? {
                true if is_partial(one) || is_partial(two) => Err(unsure()),
                same => Ok(same),
            }
        }
        (Cel::Opaque(_), _) | (_, Cel::Opaque(_)) => match (optional::inner(one), optional::inner(two)) {
            (Some(None), Some(None)) => Ok(true),
            (Some(Some(one)), Some(Some(two))) => equal(one, two),
            (Some(_), _) | (_, Some(_)) => Ok(false),
            (None, None) if kind(one) == kind(two) => Ok(one == two),
            (None, None) => Ok(false),
        },
        _ => Ok(match (number(one), number(two)) {
            (Some(one), Some(two)) => one.partial_cmp(&two) == Some(Ordering::Equal),
            _ => kind(one) == kind(two) && one == two,
        }),
    }
}

/// Whether all hold: one that does not is enough, whatever is not known of the others.
fn all(each: impl Iterator<Item = Result<bool, Stop>>) -> Result<bool, Stop> {
    let mut unsure = None;
    for one in each {
        match one {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(stop) => unsure = Some(stop),
        }
    }
    unsure.map_or(Ok(true), Err)
}

fn contains(whole: &Cel, wanted: &Cel) -> Result<bool, Stop> {
    match whole {
        Cel::List(items) => {
            let mut unsure = None;
            for item in items.iter() {
                match equal(item, wanted) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(stop) => unsure = Some(stop),
                }
            }
            unsure.map_or(Ok(false), Err)
        }
        Cel::Map(_) => match key(wanted) {
            Ok(_) => Ok(find(whole, wanted)?.is_some()),
            Err(_) if !has_unknown(wanted) => Ok(false),
            Err(stop) => Err(stop),
        },
        other => Err(wrong("in", other)),
    }
}

fn compare(one: &Cel, two: &Cel) -> Result<Option<Ordering>, Stop> {
    if is_unknown(one) || is_unknown(two) {
        return Err(Stop::unknown("it compares what is not known"));
    }
    match (one, two) {
        (Cel::String(one), Cel::String(two)) => Ok(Some(one.as_bytes().cmp(two.as_bytes()))),
        (Cel::Bool(one), Cel::Bool(two)) => Ok(Some(one.cmp(two))),
        (Cel::Bytes(one), Cel::Bytes(two)) => Ok(Some(one.cmp(two))),
        (Cel::Timestamp(one), Cel::Timestamp(two)) => Ok(Some(one.cmp(two))),
        (Cel::Duration(one), Cel::Duration(two)) => Ok(Some(one.cmp(two))),
        _ => match (number(one), number(two)) {
            (Some(one), Some(two)) => Ok(one.partial_cmp(&two)),
            (None, _) => Err(wrong("it compares", one)),
            _ => Err(wrong("it compares", two)),
        },
    }
}

/// A number of any type. Whole numbers are compared exactly where both are whole.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Fraction(f64),
}

fn number(value: &Cel) -> Option<Number> {
    match value {
        Cel::Int(int) => Some(Number::Whole((*int).into())),
        Cel::UInt(int) => Some(Number::Whole((*int).into())),
        Cel::Float(float) => Some(Number::Fraction(*float)),
        _ => None,
    }
}

impl Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(two)) => Some(one.cmp(two)),
            (one, two) => one.float().partial_cmp(&two.float()),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers beyond 2^53 are compared with fractions so"
    )]
    fn float(self) -> f64 {
        match self {
            Self::Whole(int) => int as f64,
            Self::Fraction(float) => float,
        }
    }
}
