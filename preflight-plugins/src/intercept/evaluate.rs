//! What a ValidatingAdmissionPolicy decides about a request.
//!
//! `staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/{validator,dispatcher}.go`, v1.36.

use kube_cel::cel::Value as Cel;
use serde_json::Value;

use super::matching::{Matched, conditions};
use super::policies::{Pair, PolicySpec};
use super::requests::Request;
use crate::cel::{Evaluated, Expression, Stop, World};

/// Longer messages are not used, in bytes (`staging/src/k8s.io/apiserver/pkg/apis/cel/config.go`).
const LONGEST_MESSAGE: usize = 5 * 1024;

/// The expressions of a policy.
#[derive(Debug)]
pub(crate) struct Compiled {
    variables: Vec<(String, Expression)>,
    /// With the message that is made up.
    validations: Vec<(Expression, Expression)>,
    audit_annotations: Vec<Expression>,
    pub(super) mutations: Vec<Expression>,
}

impl Compiled {
    pub(crate) fn of(policy: &PolicySpec) -> Self {
        let variables = policy.variables.iter();
        let validations = policy.validations.iter();
        let annotations = policy.audit_annotations.iter();
        Self {
            variables: variables.map(|one| (one.name.clone(), Expression::new(&one.expression))).collect(),
            validations: validations
                .map(|one| (Expression::new(&one.expression), Expression::new(&one.message_expression)))
                .collect(),
            audit_annotations: annotations.map(|one| Expression::new(&one.value_expression)).collect(),
            mutations: policy.mutations.iter().map(|one| Expression::new(one.expression())).collect(),
        }
    }

    /// What the expressions of the policy see: `params` and `namespaceObject` too.
    pub(super) fn world<'w>(&'w self, request: &Request<'_>, seen: &Seen<'_>) -> World<'w> {
        let world = request.world(&self.variables).with("params", seen.parameters);
        match seen.namespace {
            Ok(namespace) => world.with("namespaceObject", namespace),
            Err(why) => world.without("namespaceObject", why),
        }
    }
}

/// What there is besides the request.
pub(crate) struct Seen<'a> {
    pub(crate) parameters: &'a Value,
    /// `null` for what is in none; or why it is not known.
    pub(crate) namespace: Result<&'a Value, &'a str>,
}

/// What came of a validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It does not hold: the message. The binding says what is done then.
    Broken(String),
    /// The request is refused whatever the binding says.
    Refused(String),
    /// It was not decided, and why.
    Open(String),
}

/// Whether the conditions of a policy let it be evaluated. They see no variables, and no namespace.
pub(super) fn applies(pair: &Pair, request: &Request<'_>, parameters: &Value) -> Matched {
    if pair.policy.match_conditions.is_empty() {
        return Matched::Yes;
    }
    let world = request.world(&[]).with("params", parameters).with("namespaceObject", &Value::Null);
    conditions(&pair.policy.match_conditions, &world)
}

/// Every validation that does not hold, or that was not decided.
pub(crate) fn validate(
    pair: &Pair,
    compiled: &Compiled,
    request: &Request<'_>,
    seen: &Seen<'_>,
) -> Vec<Outcome> {
    match applies(pair, request, seen.parameters) {
        Matched::No => return Vec::new(),
        Matched::Unsure(why) => return vec![Outcome::Open(why)],
        Matched::Yes => {}
    }
    let world = compiled.world(request, seen);
    let holding = compiled.validations.iter().flat_map(|(holds, message)| [holds, message]);
    let all: Vec<&Expression> = holding.chain(&compiled.audit_annotations).collect();
    let mut results = world.evaluate(&all).into_iter();
    let mut outcomes = Vec::new();
    let ignores = pair.policy.ignores_failures();
    for (validation, (expression, _)) in pair.policy.validations.iter().zip(&compiled.validations) {
        let (Some(result), Some(message)) = (results.next(), results.next()) else { break };
        match result {
            Ok(Cel::Bool(true)) => {}
            Ok(_) => outcomes.push(Outcome::Broken(told(message, &validation.message, expression))),
            Err(Stop::Error(_)) if ignores => {}
            Err(Stop::Error(why)) => outcomes.push(Outcome::Broken(failed(expression, &why))),
            Err(Stop::Unknown(why)) => outcomes.push(Outcome::Open(why)),
        }
    }
    for (expression, result) in compiled.audit_annotations.iter().zip(results) {
        match result {
            Ok(Cel::String(_) | Cel::Null) => {}
            Err(Stop::Error(_)) if ignores => {}
            Ok(_) => outcomes.push(Outcome::Refused(failed(expression, "an audit annotation is a text"))),
            Err(Stop::Error(why)) => outcomes.push(Outcome::Refused(failed(expression, &why))),
            Err(Stop::Unknown(why)) => outcomes.push(Outcome::Open(why)),
        }
    }
    outcomes
}

fn failed(expression: &Expression, why: &str) -> String {
    format!("expression '{}' resulted in error: {why}", expression.text())
}

/// The message that is made up, if it is one line that is not empty; else the one that is written; else the expression.
fn told(made: Evaluated, written: &str, expression: &Expression) -> String {
    let made = match made {
        Ok(Cel::String(text)) => text.trim().to_owned(),
        _ => String::new(),
    };
    if !made.is_empty() && made.len() <= LONGEST_MESSAGE && !made.contains('\n') {
        return made;
    }
    match written.trim() {
        "" => format!("failed expression: {}", expression.text()),
        written => written.to_owned(),
    }
}
