//! Whether a webhook, or a policy, is called for a request
//! (`staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/{generic/webhook.go,predicates/}`, v1.36).

use kube_cel::cel::Value as Cel;
use preflight_core::cluster::{Discovery, Resource};
use serde::Deserialize;
use serde_json::Value;

use super::requests::{NamespaceLabels, Request};
use crate::cel::{Expression, Stop, World};
use crate::labels::{Labels, is_added, selects};

/// What a webhook says of the requests that it is called for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Criteria {
    #[serde(alias = "resourceRules")]
    rules: Vec<Rule>,
    #[serde(rename = "excludeResourceRules")]
    exclude: Vec<Rule>,
    match_policy: Option<String>,
    namespace_selector: Value,
    object_selector: Value,
    match_conditions: Vec<Condition>,
}

/// Whose criteria they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Webhook,
    /// A policy's or a binding's.
    Policy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    scope: Option<String>,
    resource_names: Vec<String>,
}

/// An expression with a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) expression: String,
}

/// Whether it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matched {
    No,
    Yes,
    /// That cannot be told, and why.
    Unsure(String),
}

/// Objects that no webhook is called for, and no policy.
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

impl Criteria {
    pub(crate) fn matches(
        &self,
        whose: Whose,
        request: &Request<'_>,
        namespaces: &NamespaceLabels,
        discovery: &Discovery,
    ) -> Matched {
        if request.resource.group == "admissionregistration.k8s.io"
            && EXEMPT.contains(&&*request.resource.plural)
        {
            return Matched::No;
        }
        let equivalent = self.match_policy.as_deref() != Some("Exact");
        let ruled = |rules: &[Rule]| rules.iter().any(|rule| rule.matches(request, equivalent, discovery));
        // A webhook without rules is called for nothing, a policy or binding without any for everything.
        let everything = whose == Whose::Policy && self.rules.is_empty();
        if !(everything || ruled(&self.rules)) || ruled(&self.exclude) {
            return Matched::No;
        }
        match self.in_namespace(request, namespaces) {
            Matched::Yes => {}
            other => return other,
        }
        if request.by_controller
            && let Some(key) = asks_for_added(&self.object_selector)
        {
            return Matched::Unsure(format!("the value of its label {key} is made up by a controller"));
        }
        // Either what it was or what it will be is enough.
        let labels_known = request.unseen.is_none() || request.by_controller || request.operation == "CREATE";
        if labels_known && !request.labels.iter().any(|labels| selects(&self.object_selector, labels)) {
            return Matched::No;
        }
        match (self.conditions(request), &request.unseen) {
            (Matched::Yes, Some(why)) => Matched::Unsure(format!("what is there is not known: {why}")),
            (matched, _) => matched,
        }
    }

    /// Whether it looks at the object in another version than the one that is sent.
    pub(crate) fn converts(&self, request: &Request<'_>, discovery: &Discovery) -> bool {
        let ruled = |equivalent| self.rules.iter().any(|rule| rule.matches(request, equivalent, discovery));
        !self.rules.is_empty() && !ruled(false) && ruled(true)
    }

    /// Namespaces are selected by their own labels, other cluster-wide objects always.
    fn in_namespace(&self, request: &Request<'_>, namespaces: &NamespaceLabels) -> Matched {
        let selector = &self.namespace_selector;
        let by = |labels: &Labels| if selects(selector, labels) { Matched::Yes } else { Matched::No };
        if request.resource.group.is_empty() && request.resource.plural == "namespaces" {
            let mut labels = request.labels.first().cloned().unwrap_or_default();
            let name = request.name.clone().unwrap_or_default();
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
            return by(&labels);
        }
        let everything = is_everything(selector);
        match request.namespace.map(|name| (name, namespaces.get(name))) {
            None => Matched::Yes,
            _ if everything => Matched::Yes,
            Some((_, Some(Ok(labels)))) => by(labels.at(request)),
            Some((name, Some(Err(error)))) => {
                Matched::Unsure(format!("the labels of the namespace {name} are not known: {error}"))
            }
            Some((name, None)) => {
                Matched::Unsure(format!("the labels of the namespace {name} are not known"))
            }
        }
    }

    fn conditions(&self, request: &Request<'_>) -> Matched {
        if self.match_conditions.is_empty() {
            return Matched::Yes;
        }
        conditions(&self.match_conditions, &request.world(&[]))
    }
}

/// Whether all conditions hold: one that does not is enough, whatever is not known of the others.
pub(crate) fn conditions(all: &[Condition], world: &World<'_>) -> Matched {
    let expressions: Vec<Expression> = all.iter().map(|one| Expression::new(&one.expression)).collect();
    let results = world.evaluate(&expressions.iter().collect::<Vec<_>>());
    let mut unsure = None;
    for (wanted, result) in all.iter().zip(results) {
        match result {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => return Matched::No,
            Ok(_) => {
                unsure = unsure.or(Some(format!("its condition {:?} is not true or false", wanted.name)))
            }
            Err(Stop::Error(why) | Stop::Unknown(why)) => {
                unsure = unsure
                    .or(Some(format!("its condition {:?} cannot be evaluated here: {why}", wanted.name)));
            }
        }
    }
    unsure.map_or(Matched::Yes, Matched::Unsure)
}

impl Rule {
    fn matches(&self, request: &Request<'_>, equivalent: bool, discovery: &Discovery) -> bool {
        let named = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        let names = &self.resource_names;
        let name = request.name.as_deref();
        named(&self.operations, request.operation)
            && self.scope_matches(&request.resource)
            && self
                .resources
                .iter()
                .any(|one| resource_matches(one, &request.resource.plural, request.subresource))
            && named(&self.api_groups, &request.resource.group)
            && (named(&self.api_versions, &request.resource.version)
                || (equivalent && self.other_version(&request.resource, discovery))
                || (equivalent && request.own_versions.iter().any(|own| self.api_versions.contains(own))))
            && (names.is_empty() || name.is_some_and(|name| names.iter().any(|one| one == name)))
    }

    fn scope_matches(&self, resource: &Resource) -> bool {
        match self.scope.as_deref() {
            Some("Cluster") => !resource.namespaced,
            Some("Namespaced") => resource.namespaced,
            _ => true,
        }
    }

    /// Whether the rule names another version in which the same kind is served: the object is converted then.
    fn other_version(&self, resource: &Resource, discovery: &Discovery) -> bool {
        discovery.served().any(|served| {
            served.resource.group == resource.group
                && served.resource.plural == resource.plural
                && self.api_versions.iter().any(|version| *version == served.resource.version)
        })
    }
}

/// Whether a selector selects everything.
fn is_everything(selector: &Value) -> bool {
    selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
        && selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty)
}

/// A key that a selector wants to have a certain value, and that a controller gives a value.
fn asks_for_added(selector: &Value) -> Option<&str> {
    let added = |key: &&str| is_added(key);
    let equal = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    let valued = expressions.filter(|one| matches!(one["operator"].as_str(), Some("In" | "NotIn")));
    equal.chain(valued.filter_map(|one| one["key"].as_str())).find(added)
}

/// `pods`, `*`, `pods/*` and `*/*`; `pods/status` and `*/status` are for that alone.
fn resource_matches(rule: &str, plural: &str, subresource: Option<&str>) -> bool {
    let (resource, below) =
        rule.split_once('/').map_or((rule, None), |(resource, below)| (resource, Some(below)));
    let resource_fits = resource == "*" || resource == plural;
    resource_fits
        && match (below, subresource) {
            (Some("*"), _) | (None, None) => true,
            (Some(below), Some(own)) => below == own,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::resource_matches;

    #[test]
    fn subresources_are_apart() {
        for (rule, itself, status) in [
            ("pods", true, false),
            ("*", true, false),
            ("*/*", true, true),
            ("pods/*", true, true),
            ("pods/status", false, true),
            ("*/status", false, true),
            ("*/scale", false, false),
            ("services", false, false),
        ] {
            assert_eq!(resource_matches(rule, "pods", None), itself, "{rule}");
            assert_eq!(resource_matches(rule, "pods", Some("status")), status, "{rule}");
        }
    }
}
