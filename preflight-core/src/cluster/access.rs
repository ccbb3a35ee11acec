//! Who one is, and what one or another identity may do, as the API server itself answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Resource;

/// An identity whose permissions are asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Identity {
    /// User name, for example `system:serviceaccount:ci:deployer`.
    pub user: String,
    /// Groups beyond those that every such user has.
    pub groups: Vec<String>,
}

impl Identity {
    /// A user, with the groups that the API server gives to every user of its kind: ServiceAccounts are in
    /// `system:serviceaccounts` and in that of their namespace, everybody is in `system:authenticated`
    /// (`staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go`, v1.36).
    #[must_use]
    pub fn new(user: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let user = user.into();
        let mut groups: Vec<String> = groups.into_iter().collect();
        let mut add = |group: String| {
            if !groups.contains(&group) {
                groups.push(group);
            }
        };
        if let Some((namespace, _)) =
            user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
        {
            add("system:serviceaccounts".to_owned());
            add(format!("system:serviceaccounts:{namespace}"));
        }
        add("system:authenticated".to_owned());
        Self { user, groups }
    }
}

/// One thing that an identity may or may not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Act {
    /// Something done to objects.
    Resource {
        /// The verb, for example `create`; `*` asks for all.
        verb: String,
        /// API group; empty for the core group, `*` asks for all.
        group: String,
        /// Plural name.
        resource: String,
        /// Subresource, if one is meant.
        subresource: Option<String>,
        /// Namespace; `None` for cluster-wide kinds and for all namespaces.
        namespace: Option<String>,
        /// Name; `None` for any.
        name: Option<String>,
    },
    /// Something done to a path that is not of objects.
    Path {
        /// The verb in lower case, for example `get`.
        verb: String,
        /// The path, for example `/healthz`.
        path: String,
    },
}

impl Act {
    /// `verb` on the objects of a kind, in a namespace or everywhere.
    #[must_use]
    pub fn on(verb: &str, resource: &Resource, namespace: Option<&str>) -> Self {
        Self::Resource {
            verb: verb.to_owned(),
            group: resource.group.to_string(),
            resource: resource.plural.to_string(),
            subresource: None,
            namespace: namespace.map(str::to_owned),
            name: None,
        }
    }

    /// `verb` on a resource by its names; `*` stands for all, as in RBAC.
    #[must_use]
    pub fn resource(
        verb: &str,
        group: &str,
        resource: &str,
        subresource: Option<&str>,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        Self::Resource {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    /// `verb` on a path that is not of objects.
    #[must_use]
    pub fn path(verb: &str, path: &str) -> Self {
        Self::Path { verb: verb.to_owned(), path: path.to_owned() }
    }

    /// The same on one object.
    #[must_use]
    pub fn named(mut self, to: Option<&str>) -> Self {
        if let Self::Resource { name, .. } = &mut self {
            *name = to.map(str::to_owned);
        }
        self
    }

    /// `create deployments.apps in namespace shop`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Resource { verb, group, resource, subresource, namespace, name } => {
                let sub = subresource.as_ref().map(|sub| format!("/{sub}")).unwrap_or_default();
                let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                let name = name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
                let place = match namespace {
                    Some(namespace) => format!(" in namespace {namespace}"),
                    None => String::new(),
                };
                format!("{verb} {resource}{group}{sub}{name}{place}")
            }
            Self::Path { verb, path } => format!("{verb} {path}"),
        }
    }

    /// The command that asks the same, as `identity` where it is another.
    #[must_use]
    pub fn command(&self, identity: Option<&Identity>) -> String {
        let mut command = "kubectl auth can-i ".to_owned();
        match self {
            Self::Resource { verb, group, resource, subresource, namespace, name } => {
                let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                let name = name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
                command.push_str(&format!("{verb} {resource}{group}{name}"));
                if let Some(sub) = subresource {
                    command.push_str(&format!(" --subresource={sub}"));
                }
                if let Some(namespace) = namespace {
                    command.push_str(&format!(" -n {namespace}"));
                }
            }
            Self::Path { verb, path } => command.push_str(&format!("{verb} {path}")),
        }
        if let Some(identity) = identity {
            command.push_str(&format!(" --as={}", identity.user));
            for group in identity.groups.iter().filter(|group| !group.starts_with("system:")) {
                command.push_str(&format!(" --as-group={group}"));
            }
        }
        command
    }

    /// The review's resource and body.
    pub(crate) fn review(&self, identity: Option<&Identity>) -> (&'static str, Value) {
        let mut spec = match self {
            Self::Resource { verb, group, resource, subresource, namespace, name } => {
                let mut attributes = serde_json::Map::new();
                let mut put = |key: &str, value: Option<&str>| {
                    if let Some(value) = value.filter(|value| !value.is_empty()) {
                        attributes.insert(key.to_owned(), value.into());
                    }
                };
                put("verb", Some(verb));
                put("group", Some(group));
                put("resource", Some(resource));
                put("subresource", subresource.as_deref());
                put("namespace", namespace.as_deref());
                put("name", name.as_deref());
                json!({"resourceAttributes": attributes})
            }
            Self::Path { verb, path } => json!({"nonResourceAttributes": {"verb": verb, "path": path}}),
        };
        let (plural, kind) = match identity {
            None => ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            Some(identity) => {
                spec["user"] = identity.user.clone().into();
                spec["groups"] = identity.groups.clone().into();
                ("subjectaccessreviews", "SubjectAccessReview")
            }
        };
        (plural, json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}))
    }

    /// A review about another identity, asked in the namespace that it is about, if it is about one.
    pub(crate) fn local_review(&self, review: &Value) -> Option<(String, Value)> {
        let Self::Resource { namespace: Some(namespace), .. } = self else { return None };
        let mut body = review.clone();
        body["kind"] = "LocalSubjectAccessReview".into();
        body["metadata"] = json!({"namespace": namespace});
        Some((format!("namespaces/{namespace}/localsubjectaccessreviews"), body))
    }
}

/// The API server's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Permission {
    /// Whether it may.
    #[serde(default)]
    pub allowed: bool,
    /// The authorizer's reason, where it gives one.
    #[serde(default)]
    pub reason: Option<String>,
    /// What kept the authorizer from judging fully. A refusal with this set may be unjust.
    #[serde(default)]
    pub evaluation_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_has_the_groups_of_its_kind() {
        let identity = Identity::new("system:serviceaccount:ci:deployer", ["team".to_owned()]);
        assert_eq!(
            identity.groups,
            ["team", "system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"]
        );
        assert_eq!(Identity::new("jane", []).groups, ["system:authenticated"]);
    }

    #[test]
    fn the_command_asks_what_the_review_asks() {
        let act =
            Act::on("patch", &Resource::namespaced("apps", "v1", "deployments", "Deployment"), Some("shop"))
                .named(Some("web"));
        assert_eq!(act.command(None), "kubectl auth can-i patch deployments.apps/web -n shop");
        let (plural, body) = act.review(Some(&Identity::new("jane", [])));
        assert_eq!(plural, "subjectaccessreviews");
        assert_eq!(body["spec"]["resourceAttributes"]["name"], "web");
        assert_eq!(body["spec"]["user"], "jane");
        let (path, local) = act.local_review(&body).unwrap();
        assert_eq!(path, "namespaces/shop/localsubjectaccessreviews");
        assert_eq!((&local["spec"], &local["metadata"]["namespace"]), (&body["spec"], &json!("shop")));
        let nodes = Resource::cluster_wide("", "v1", "nodes", "Node");
        assert!(Act::on("get", &nodes, None).local_review(&body).is_none());
    }
}
