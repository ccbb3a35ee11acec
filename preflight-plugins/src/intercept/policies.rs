//! Admission policies in CEL, validating and mutating ones, their bindings and their parameters.

use std::sync::Arc;

use preflight_core::cluster::{ClusterError, ClusterErrorKind, Discovery, Listed, Lookup, Reader};
use preflight_core::release::Release;
use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use super::matching::{Condition, Criteria, Matched, Whose};
use super::requests::{Request, Requests, of_live};
use crate::changes::merged;
use crate::effective::{Surroundings, created};
use crate::labels;

/// A ValidatingAdmissionPolicy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    spec: PolicySpec,
}

view!(Policy: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" "ValidatingAdmissionPolicy");

/// A MutatingAdmissionPolicy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MutatingPolicy {
    spec: PolicySpec,
}

view!(MutatingPolicy: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicies" "MutatingAdmissionPolicy");

/// The `spec` of a policy. Either kind has what the other lacks empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PolicySpec {
    param_kind: Option<ParamKind>,
    failure_policy: Option<String>,
    match_constraints: Criteria,
    pub(crate) match_conditions: Vec<Condition>,
    pub(crate) variables: Vec<Condition>,
    pub(crate) validations: Vec<Validation>,
    pub(crate) audit_annotations: Vec<AuditAnnotation>,
    pub(crate) mutations: Vec<Mutation>,
}

impl PolicySpec {
    /// Whether it goes by who asks.
    pub(crate) fn asks_who(&self) -> bool {
        let conditions = self.match_conditions.iter().chain(&self.variables).map(|one| &one.expression);
        let validations = self.validations.iter().map(|one| &one.expression);
        let who = |text: &String| text.contains("userInfo") || text.contains("authorizer");
        conditions.chain(validations).any(who)
    }

    /// Whether what cannot be evaluated is let through.
    pub(crate) fn ignores_failures(&self) -> bool {
        self.failure_policy.as_deref() == Some("Ignore")
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Validation {
    pub(crate) expression: String,
    pub(crate) message: String,
    pub(crate) message_expression: String,
}

/// What is written into the audit log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AuditAnnotation {
    pub(crate) value_expression: String,
}

/// One change that a policy makes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Mutation {
    pub(crate) patch_type: String,
    pub(crate) apply_configuration: MutationExpression,
    pub(crate) json_patch: MutationExpression,
}

impl Mutation {
    /// The expression that makes the change.
    pub(crate) fn expression(&self) -> &str {
        let Self { patch_type, apply_configuration, json_patch } = self;
        if patch_type == "JSONPatch" { &json_patch.expression } else { &apply_configuration.expression }
    }
}

/// The expression of a change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MutationExpression {
    pub(crate) expression: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamKind {
    api_version: String,
    kind: String,
}

/// A ValidatingAdmissionPolicyBinding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Binding {
    spec: BindingSpec,
}

view!(Binding: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" "ValidatingAdmissionPolicyBinding");

/// A MutatingAdmissionPolicyBinding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MutatingBinding {
    spec: BindingSpec,
}

view!(MutatingBinding: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicybindings" "MutatingAdmissionPolicyBinding");

/// The `spec` of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BindingSpec {
    policy_name: String,
    param_ref: Option<ParamRef>,
    match_resources: Option<Criteria>,
    pub(crate) validation_actions: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamRef {
    name: Option<String>,
    namespace: Option<String>,
    selector: Option<Value>,
    parameter_not_found_action: Option<String>,
}

/// A kind of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    Validating,
    Mutating,
}

impl PolicyKind {
    /// The kind's name in lower case.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Validating => "validatingadmissionpolicy",
            Self::Mutating => "mutatingadmissionpolicy",
        }
    }

    const fn kinds(self) -> [&'static str; 2] {
        match self {
            Self::Validating => ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
            Self::Mutating => ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
        }
    }
}

/// A policy with one of its bindings.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) kind: PolicyKind,
    /// The policy's name.
    pub(crate) name: String,
    pub(crate) policy: PolicySpec,
    /// The binding's name.
    pub(crate) bound_by: String,
    pub(crate) binding: BindingSpec,
    /// From which place of the release on it is there as it is here, where the release brings or changes it.
    pub(crate) from: Option<usize>,
    /// Up to which place of the release it is there as it is here, where the release changes it.
    pub(crate) until: Option<usize>,
}

/// Whether a policy is there when a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    Yes,
    /// The release brings it before, and it takes the API server a second to see that.
    Perhaps,
    /// The release changes it before, and it takes the API server a second to see that.
    Still,
    No,
}

impl Pair {
    /// Whether it looks at the object in another version than the one that is sent.
    pub(crate) fn converts(&self, request: &Request<'_>, discovery: &Discovery) -> bool {
        self.policy.match_constraints.converts(request, discovery)
    }

    /// Whether the release changes what may be its parameters.
    pub(crate) fn parameters_change(&self, release: &Release) -> bool {
        let Some(kind) = &self.policy.param_kind else { return false };
        release.objects().iter().any(|planned| {
            planned.object.kind() == kind.kind
                && planned.object.api_version() == kind.api_version
                && planned.action != preflight_core::release::Action::Unchanged
        })
    }

    /// Whether it is there, as it is here, when a request is made.
    pub(crate) fn force(&self, request: &Request<'_>) -> Force {
        if request.by_controller {
            return match (self.from, self.until) {
                (None, None) => Force::Yes,
                (Some(_), None) => Force::Perhaps,
                (_, Some(_)) => Force::No,
            };
        }
        match (self.from, self.until) {
            (Some(from), _) if from >= request.position => Force::No,
            (Some(_), _) => Force::Perhaps,
            // It is taken away before, and counts until the API server has seen that.
            (None, Some(until)) if until < request.position => Force::Still,
            (None, _) => Force::Yes,
        }
    }

    /// Whether the policy is evaluated for a request.
    pub(crate) fn matches(
        &self,
        request: &Request<'_>,
        requests: &Requests<'_>,
        discovery: &Discovery,
    ) -> Matched {
        let by =
            |criteria: &Criteria| criteria.matches(Whose::Policy, request, &requests.namespaces, discovery);
        match (by(&self.policy.match_constraints), self.binding.match_resources.as_ref().map(by)) {
            (Matched::No, _) | (_, Some(Matched::No)) => Matched::No,
            (Matched::Unsure(why), _) | (_, Some(Matched::Unsure(why))) => Matched::Unsure(why),
            (Matched::Yes, _) => Matched::Yes,
        }
    }
}

/// Policies of the cluster and of the release.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) pairs: Vec<Pair>,
}

impl Policies {
    /// Asks for the lists. Older servers have no such kinds, and then there are none.
    ///
    /// # Errors
    /// The policies of either kind cannot be listed.
    pub(crate) async fn of(cluster: &Reader, release: &Release) -> Result<Self, ClusterError> {
        let (policies, bindings, mutating, mutating_bindings) = futures::join!(
            cluster.list::<Policy>(),
            cluster.list::<Binding>(),
            cluster.list::<MutatingPolicy>(),
            cluster.list::<MutatingBinding>(),
        );
        let mut pairs = Vec::new();
        let validating = (served(policies)?, served(bindings)?);
        join(
            PolicyKind::Validating,
            release,
            &mut pairs,
            &specs(&validating.0, |it| &it.spec),
            &specs(&validating.1, |it| &it.spec),
        );
        let mutating = (served(mutating)?, served(mutating_bindings)?);
        join(
            PolicyKind::Mutating,
            release,
            &mut pairs,
            &specs(&mutating.0, |it| &it.spec),
            &specs(&mutating.1, |it| &it.spec),
        );
        Ok(Self { pairs })
    }
}

fn specs<V, S: Clone>(list: &Option<Arc<Listed<V>>>, spec: impl Fn(&V) -> &S) -> Vec<(String, S)> {
    let all = list.iter().flat_map(|list| list.iter());
    all.map(|(_, name, view)| (name.to_owned(), spec(view).clone())).collect()
}

fn served<V>(listed: Result<Arc<Listed<V>>, ClusterError>) -> Result<Option<Arc<Listed<V>>>, ClusterError> {
    match listed {
        Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => Ok(None),
        listed => listed.map(Some),
    }
}

/// Each policy with each of its bindings: as they are, and as the release leaves them.
fn join(
    kind: PolicyKind,
    release: &Release,
    pairs: &mut Vec<Pair>,
    policies: &[(String, PolicySpec)],
    bindings: &[(String, BindingSpec)],
) {
    let [of_policy, of_binding] = kind.kinds();
    let policies = versions(policies, &coming(release, of_policy));
    let bindings = versions(bindings, &coming(release, of_binding));
    for (bound_by, binding, of_binding) in &bindings {
        for (name, policy, of_policy) in policies.iter().filter(|(name, ..)| *name == binding.policy_name) {
            let from = of_policy.0.max(of_binding.0);
            let until = match (of_policy.1, of_binding.1) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            };
            // The one was changed before the other was there.
            if matches!((from, until), (Some(from), Some(until)) if until <= from) {
                continue;
            }
            pairs.push(Pair {
                kind,
                name: name.clone(),
                policy: policy.clone(),
                bound_by: bound_by.clone(),
                binding: binding.clone(),
                from,
                until,
            });
        }
    }
}

/// From which place on, and up to which.
type Span = (Option<usize>, Option<usize>);

fn versions<S: Clone>(live: &[(String, S)], coming: &[(usize, String, S)]) -> Vec<(String, S, Span)> {
    let changed = |name: &str| coming.iter().find(|(_, own, _)| own == name).map(|(at, ..)| *at);
    let before = live.iter().map(|(name, spec)| (name.clone(), spec.clone(), (None, changed(name))));
    let after = coming.iter().map(|(at, name, spec)| (name.clone(), spec.clone(), (Some(*at), None)));
    before.chain(after).collect()
}

fn coming<S: for<'de> Deserialize<'de>>(release: &Release, kind: &str) -> Vec<(usize, String, S)> {
    let of_kind = release.of_kind("admissionregistration.k8s.io", kind);
    let changed = of_kind.filter(|(_, planned)| planned.action != preflight_core::release::Action::Unchanged);
    let read = changed.filter_map(|(at, planned)| {
        let spec = S::deserialize(&merged(planned, release.method())["spec"]).ok()?;
        Some((at, planned.object.name()?.to_owned(), spec))
    });
    read.collect()
}

/// What a policy is evaluated with.
#[derive(Debug)]
pub(crate) enum Parameters {
    /// Each of these, one after the other; `null` where it has no parameters.
    These(Vec<Value>),
    /// There are none, and then nothing is evaluated.
    Absent,
    /// It cannot be evaluated.
    Broken(String),
    /// They could not be looked at.
    Unknown(String),
}

/// What comes with the release, as the API server will have it.
fn as_parameter(object: &Value) -> Value {
    created(object, Surroundings { limit_range: true })
}

/// The parameters of a policy for a request
/// (`staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go`, `CollectParams`, v1.36).
pub(crate) async fn parameters(
    pair: &Pair,
    request: &Request<'_>,
    discovery: &Discovery,
    cluster: &Reader,
    release: &Release,
) -> Parameters {
    let (kind, reference) = match (&pair.policy.param_kind, &pair.binding.param_ref) {
        (Some(kind), Some(reference)) => (kind, reference),
        // Without a reference it is evaluated with no parameters.
        _ => return Parameters::These(vec![Value::Null]),
    };
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
    let served = match discovery.lookup(group, version, &kind.kind) {
        Lookup::Served(served) => served.resource.clone(),
        Lookup::Unavailable => {
            return Parameters::Unknown(format!("what serves {} does not answer", kind.api_version));
        }
        _ => {
            return Parameters::Broken(format!(
                "the kind of its parameters, {} {}, is not served",
                kind.api_version, kind.kind
            ));
        }
    };
    let namespace = match (served.namespaced, &reference.namespace) {
        (false, Some(_)) => {
            return Parameters::Broken(
                "its binding names a namespace, and its parameters have none".to_owned(),
            );
        }
        (false, None) => None,
        (true, Some(named)) => Some(named.clone()),
        // A Namespace is taken to be in itself.
        (true, None) if request.is_namespace() => request.name.clone(),
        (true, None) => match request.namespace {
            Some(own) => Some(own.to_owned()),
            None => {
                return Parameters::Broken(
                    "its parameters are in the namespace of what it judges, which has none".to_owned(),
                );
            }
        },
    };
    let denies = reference.parameter_not_found_action.as_deref() == Some("Deny");
    let missing = |what: String| if denies { Parameters::Broken(what) } else { Parameters::Absent };
    let of_release = release.of_kind(&served.group, &served.kind);
    // Controllers try again until they are there.
    let coming = of_release
        .filter(|(position, planned)| {
            (request.by_controller || *position < request.position) && planned.namespace == namespace
        })
        .map(|(_, planned)| planned);
    if let Some(name) = &reference.name {
        let mut named = coming.filter(|planned| planned.object.name() == Some(name));
        if let Some(planned) = named.next() {
            return Parameters::These(vec![as_parameter(&merged(planned, release.method()))]);
        }
        return match cluster.get(&served, namespace.as_deref(), name).await {
            Ok(Some(found)) => Parameters::These(vec![of_live(&found)]),
            Ok(None) => missing(format!("its parameters, {} {name}, do not exist", served.kind)),
            Err(error) => Parameters::Unknown(error.to_string()),
        };
    }
    let selector = reference.selector.clone().unwrap_or_default();
    let (mut all, mut names) = (Vec::new(), Vec::new());
    for planned in coming {
        names.extend(planned.object.name().map(str::to_owned));
        let object = merged(planned, release.method());
        if labels::selects(&selector, &labels::of(&object)) {
            all.push(as_parameter(&object));
        }
    }
    let query = labels::query(&selector).unwrap_or_default();
    match cluster.select(&served, namespace.as_deref(), &query).await {
        Ok(found) => {
            let changed = |object: &Value| names.iter().any(|name| object["metadata"]["name"] == **name);
            all.extend(found.iter().filter(|object| !changed(object)).map(of_live));
        }
        Err(error) => return Parameters::Unknown(error.to_string()),
    }
    if all.is_empty() {
        return missing(format!("no {} is selected for its parameters", served.kind));
    }
    Parameters::These(all)
}
