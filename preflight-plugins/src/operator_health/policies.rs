//! Admission policies in CEL that match the release, validating and mutating ones: can they be evaluated at all?

use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, ClusterErrorKind, Discovery, Listed, Lookup, Reader};
use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, RuleCheck, view};
use serde::Deserialize;
use serde_json::Value;

use super::ADMISSION_POLICY;
use super::requests::{Request, Requests};
use super::webhooks::{Criteria, Matched};

/// A ValidatingAdmissionPolicy, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Policy {
    spec: PolicySpec,
}

view!(Policy: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" "ValidatingAdmissionPolicy");

/// A MutatingAdmissionPolicy, in the same part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MutatingPolicy {
    spec: PolicySpec,
}

view!(MutatingPolicy: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicies" "MutatingAdmissionPolicy");

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicySpec {
    param_kind: Option<ParamKind>,
    failure_policy: Option<String>,
    match_constraints: Criteria,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamKind {
    api_version: String,
    kind: String,
}

/// A ValidatingAdmissionPolicyBinding, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Binding {
    spec: BindingSpec,
}

view!(Binding: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" "ValidatingAdmissionPolicyBinding");

/// A MutatingAdmissionPolicyBinding, in the same part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MutatingBinding {
    spec: BindingSpec,
}

view!(MutatingBinding: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicybindings" "MutatingAdmissionPolicyBinding");

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BindingSpec {
    policy_name: String,
    param_ref: Option<ParamRef>,
    match_resources: Option<Criteria>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamRef {
    name: Option<String>,
    namespace: Option<String>,
    selector: Option<Value>,
    parameter_not_found_action: Option<String>,
}

/// A kind of policy: its name, and that of its bindings.
#[derive(Clone, Copy)]
enum Kind {
    Validating,
    Mutating,
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Validating => "validatingadmissionpolicy",
            Self::Mutating => "mutatingadmissionpolicy",
        }
    }
}

/// A policy with one of its bindings.
struct Pair<'a> {
    kind: Kind,
    name: &'a str,
    binding: &'a BindingSpec,
    policy: &'a PolicySpec,
}

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    requests: &Requests<'_>,
) {
    let (validating, bindings, mutating, mutating_bindings, discovery) = futures::join!(
        cluster.list::<Policy>(),
        cluster.list::<Binding>(),
        cluster.list::<MutatingPolicy>(),
        cluster.list::<MutatingBinding>(),
        cluster.discovery(),
    );
    let Some(discovery) = check.need(&[&ADMISSION_POLICY], discovery) else { return };
    let (validating, bindings) = (served(check, validating), served(check, bindings));
    let (mutating, mutating_bindings) = (served(check, mutating), served(check, mutating_bindings));
    let mut pairs = Vec::new();
    for (_, name, binding) in bindings.iter().flat_map(|list| list.iter()) {
        let policy = validating.as_ref().and_then(|list| list.get(&binding.spec.policy_name));
        pairs.extend(policy.map(|policy| Pair {
            kind: Kind::Validating,
            name,
            binding: &binding.spec,
            policy: &policy.spec,
        }));
    }
    for (_, name, binding) in mutating_bindings.iter().flat_map(|list| list.iter()) {
        let policy = mutating.as_ref().and_then(|list| list.get(&binding.spec.policy_name));
        pairs.extend(policy.map(|policy| Pair {
            kind: Kind::Mutating,
            name,
            binding: &binding.spec,
            policy: &policy.spec,
        }));
    }
    let mut rule = check.rule(&ADMISSION_POLICY);
    let bound =
        join_all(pairs.iter().map(|pair| Bound::of(pair, requests, &discovery, cluster, release))).await;
    for bound in bound.into_iter().flatten() {
        bound.tell(check, &mut rule);
    }
    rule.conclude("bindings of admission policies that match the release");
}

/// The list, if it could be had. Older servers have no such kind, and then there are none.
fn served<V>(check: &Examination, listed: Result<Arc<Listed<V>>, ClusterError>) -> Option<Arc<Listed<V>>> {
    match listed {
        Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => None,
        listed => check.need(&[&ADMISSION_POLICY], listed),
    }
}

/// A binding that matches something of the release.
struct Bound<'a> {
    pair: &'a Pair<'a>,
    request: &'a Request<'a>,
    problem: Problem,
}

enum Problem {
    None,
    /// The policy cannot be evaluated, and what it matches is refused.
    Refuses(String),
    /// It cannot be evaluated, and that changes nothing.
    Passes(String),
    Unknown(String),
}

impl<'a> Bound<'a> {
    async fn of(
        pair: &'a Pair<'a>,
        requests: &'a Requests<'_>,
        discovery: &Discovery,
        cluster: &Reader,
        release: &Release,
    ) -> Option<Bound<'a>> {
        let matches = |request: &&Request<'_>| {
            // Whether conditions hold is left to the evaluation; here they only narrow down.
            let by = |criteria: &Criteria| {
                let matched = criteria.of_policy().matches(request, &requests.namespaces, discovery);
                !matches!(matched, Matched::No)
            };
            let bound = pair.binding.match_resources.as_ref().is_none_or(by);
            request.lands_anyway.is_none() && by(&pair.policy.match_constraints) && bound
        };
        let request = requests.all.iter().find(matches)?;
        let problem = problem(pair.policy, pair.binding, request, discovery, cluster, release).await;
        Some(Bound { pair, request, problem })
    }

    fn tell(self, check: &Examination, rule: &mut RuleCheck<'_>) {
        rule.examined();
        let told = |why: &str| {
            format!(
                "The policy {} (binding {}) matches {} and cannot be evaluated: {why}",
                self.pair.binding.policy_name,
                self.pair.name,
                self.request.told()
            )
        };
        let remedy = Remediation::new("Bring its parameters, or mend the policy and its binding")
            .command(format!("kubectl get {}binding {} -o yaml", self.pair.kind.plural(), self.pair.name))
            .command(format!(
                "kubectl get {} {} -o yaml",
                self.pair.kind.plural(),
                self.pair.binding.policy_name
            ));
        match &self.problem {
            Problem::None => {}
            Problem::Refuses(why) => rule.predict(self.request.subject(), told(why), remedy),
            Problem::Passes(why) => rule.warn(self.request.subject(), told(why), remedy),
            Problem::Unknown(why) => check.unknown(&[&ADMISSION_POLICY], told(why), remedy.on_one_line()),
        }
    }
}

/// What keeps the policy from being evaluated
/// (`staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go`, `CollectParams`, v1.36).
async fn problem(
    policy: &PolicySpec,
    binding: &BindingSpec,
    request: &Request<'_>,
    discovery: &Discovery,
    cluster: &Reader,
    release: &Release,
) -> Problem {
    let ignores = policy.failure_policy.as_deref() == Some("Ignore");
    let broken = |why: String| if ignores { Problem::Passes(why) } else { Problem::Refuses(why) };
    let (kind, reference) = match (&policy.param_kind, &binding.param_ref) {
        (Some(kind), Some(reference)) => (kind, reference),
        // Without a reference it is evaluated with no parameters.
        _ => return Problem::None,
    };
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
    let served = match discovery.lookup(group, version, &kind.kind) {
        Lookup::Served(served) => served.resource.clone(),
        Lookup::Unavailable => {
            return Problem::Unknown(format!("what serves {} does not answer", kind.api_version));
        }
        _ => {
            return broken(format!(
                "the kind of its parameters, {} {}, is not served",
                kind.api_version, kind.kind
            ));
        }
    };
    let namespace = match (served.namespaced, &reference.namespace) {
        (false, Some(_)) => {
            return broken("its binding names a namespace, and its parameters have none".to_owned());
        }
        (false, None) => None,
        (true, Some(named)) => Some(named.clone()),
        (true, None) => match request.namespace {
            Some(own) => Some(own.to_owned()),
            None => {
                return broken(
                    "its parameters are in the namespace of what it judges, which has none".to_owned(),
                );
            }
        },
    };
    let denies = reference.parameter_not_found_action.as_deref() == Some("Deny");
    let missing = |what: String| if denies { broken(what) } else { Problem::None };
    let of_release = release.of_kind(&served.group, &served.kind);
    let coming: Vec<&str> = of_release
        .filter(|(position, planned)| *position < request.position && planned.namespace == namespace)
        .filter_map(|(_, planned)| planned.object.name())
        .collect();
    if let Some(name) = &reference.name {
        if coming.contains(&name.as_str()) {
            return Problem::None;
        }
        return match cluster.get(&served, namespace.as_deref(), name).await {
            Ok(Some(_)) => Problem::None,
            Ok(None) => missing(format!("its parameters, {} {name}, do not exist", served.kind)),
            Err(error) => Problem::Unknown(error.to_string()),
        };
    }
    let labels = reference.selector.as_ref().map(|selector| selector["matchLabels"].clone());
    let query: Vec<String> = labels
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    if !denies || !coming.is_empty() {
        return Problem::None;
    }
    match cluster.select(&served, namespace.as_deref(), &query.join(",")).await {
        Ok(found) if found.is_empty() => {
            missing(format!("no {} is selected for its parameters", served.kind))
        }
        Ok(_) => Problem::None,
        Err(error) => Problem::Unknown(error.to_string()),
    }
}
