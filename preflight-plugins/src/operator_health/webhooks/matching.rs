//! Whether a webhook, or a policy, is called for a request
//! (`staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/{generic/webhook.go,predicates/}`, v1.36).

use preflight_core::cluster::{Discovery, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::labels::{Labels, selects};
use crate::operator_health::requests::{NamespaceLabels, Request};
use crate::schema::condition;

/// What a webhook says of the requests that it is called for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::operator_health) struct Criteria {
    #[serde(alias = "resourceRules")]
    rules: Vec<Rule>,
    #[serde(rename = "excludeResourceRules")]
    exclude: Vec<Rule>,
    match_policy: Option<String>,
    namespace_selector: Value,
    object_selector: Value,
    match_conditions: Vec<Condition>,
    #[serde(skip)]
    of_policy: bool,
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

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    name: String,
    expression: String,
}

/// Whether it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::operator_health) enum Matched {
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
    /// The same, as a policy's or a binding's.
    pub(in crate::operator_health) fn of_policy(&self) -> Self {
        Self { of_policy: true, ..self.clone() }
    }

    pub(in crate::operator_health) fn matches(
        &self,
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
        let everything = self.of_policy && self.rules.is_empty();
        if !(everything || ruled(&self.rules)) || ruled(&self.exclude) {
            return Matched::No;
        }
        match self.in_namespace(request, namespaces) {
            Matched::Yes => {}
            other => return other,
        }
        // Either what it was or what it will be is enough.
        let labels_known = request.unseen.is_none() || request.operation == "CREATE";
        if labels_known && !request.labels.iter().any(|labels| selects(&self.object_selector, labels)) {
            return Matched::No;
        }
        match (self.conditions(request), &request.unseen) {
            (Matched::Yes, Some(why)) => Matched::Unsure(format!("what is there is not known: {why}")),
            (matched, _) => matched,
        }
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
        let is_empty = |key: &str| selector[key].as_array().is_none_or(Vec::is_empty);
        let everything = is_empty("matchExpressions")
            && selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty);
        match request.namespace.map(|name| (name, namespaces.get(name))) {
            None => Matched::Yes,
            _ if everything => Matched::Yes,
            Some((_, Some(Ok(labels)))) => by(labels),
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
        let asked = json!({
            "operation": request.operation,
            "kind": {"group": request.resource.group, "version": request.resource.version, "kind": request.resource.kind},
            "resource": {"group": request.resource.group, "version": request.resource.version, "resource": request.resource.plural},
            "namespace": request.namespace.unwrap_or_default(),
            "name": request.name.clone().unwrap_or_default(),
            "subResource": "",
            "dryRun": false,
        });
        let old = request.old.clone().unwrap_or_default();
        let variables = [("object", &request.object), ("oldObject", &old), ("request", &asked)];
        let mut unsure = None;
        for wanted in &self.match_conditions {
            // Who asks is known to the API server alone.
            let hidden = wanted.expression.contains("userInfo")
                || (request.unseen.is_some() && wanted.expression.contains("oldObject"));
            let known = (!hidden).then(|| condition(&wanted.expression, &variables));
            match known.flatten() {
                Some(true) => {}
                Some(false) => return Matched::No,
                None => {
                    unsure.get_or_insert_with(|| {
                        format!("its condition {:?} cannot be evaluated here", wanted.name)
                    });
                }
            }
        }
        unsure.map_or(Matched::Yes, Matched::Unsure)
    }
}

impl Rule {
    fn matches(&self, request: &Request<'_>, equivalent: bool, discovery: &Discovery) -> bool {
        let named = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        let names = &self.resource_names;
        let name = request.name.as_deref();
        named(&self.operations, request.operation)
            && self.scope_matches(&request.resource)
            && self.resources.iter().any(|one| resource_matches(one, &request.resource.plural))
            && named(&self.api_groups, &request.resource.group)
            && (named(&self.api_versions, &request.resource.version)
                || (equivalent && self.other_version(&request.resource, discovery)))
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

/// `pods`, `*`, `pods/*` and `*/*`; `pods/status` is for that alone.
fn resource_matches(rule: &str, plural: &str) -> bool {
    match rule.split_once('/') {
        None => rule == "*" || rule == plural,
        Some(("*", "*")) => true,
        Some((resource, "*")) => resource == plural,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::resource_matches;

    #[test]
    fn subresources_are_apart() {
        for (rule, matches) in [
            ("pods", true),
            ("*", true),
            ("*/*", true),
            ("pods/*", true),
            ("pods/status", false),
            ("*/scale", false),
            ("services", false),
        ] {
            assert_eq!(resource_matches(rule, "pods"), matches, "{rule}");
        }
    }
}
