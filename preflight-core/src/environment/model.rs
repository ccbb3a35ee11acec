//! The keys of an environment that Preflight itself reads.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of [`Entry`]; every other key is a section of a plugin's.
pub(super) const ENTRY_KEYS: &[&str] = &[
    "cluster_context",
    "cluster_uid",
    "namespace",
    "apply",
    "deployer",
    "on_unknown",
    "expects",
    "governance",
];

/// What Preflight itself reads of an environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    /// The kubeconfig's context.
    pub(super) cluster_context: Option<String>,
    /// UID of the `kube-system` namespace of the cluster that is meant; another cluster is refused.
    pub(super) cluster_uid: Option<String>,
    /// The namespace of objects that name none.
    pub(super) namespace: Option<String>,
    /// How the manifests will be applied: a method, or a mapping.
    pub(super) apply: ApplyEntry,
    /// The identity that will apply them, where it is not one's own: a user name, or a mapping.
    pub(super) deployer: Option<DeployerEntry>,
    /// Rules that may stay unknown: `warn` accepts it, `block` is what happens anyway.
    pub(super) on_unknown: BTreeMap<String, OnUnknown>,
    /// Objects that something else will have made by the time the release needs them.
    pub(super) expects: Vec<Expected>,
    /// What a verdict needs to be a whole one.
    pub(super) governance: Governance,
}

/// What is done about a rule that could not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnUnknown {
    /// The verdict may be `go`, and says what it does not know.
    Warn,
    /// The verdict is `unknown`, as without this entry.
    Block,
}

/// How manifests are applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Method {
    /// `kubectl apply`: get, then create or patch, in the order of the files.
    #[default]
    Client,
    /// `kubectl apply --server-side`: patch, in the order of the files.
    Server,
    /// `helm upgrade --install`: in Helm's order of kinds, with the release kept in a Secret.
    Helm,
    /// Argo CD: by sync waves, then by kind.
    Argocd,
    /// `kubectl create`: in the order of the files; what exists is an error.
    Create,
}

/// How the manifests will be applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Apply {
    /// The method.
    pub method: Method,
    /// The field manager of server-side apply.
    pub field_manager: Option<String>,
    /// Whether conflicts with other field managers are overridden.
    pub force: bool,
    /// With `client` or `server`: prune what was applied earlier and has these labels, as `kubectl apply --prune -l`.
    pub prune: Option<String>,
}

/// A method alone, or everything.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(super) struct ApplyEntry(pub(super) Apply);

impl<'de> Deserialize<'de> for ApplyEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ApplyEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a method (client, server, helm, argocd, create) or a mapping with `method`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ApplyEntry, E> {
                let method = Method::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(ApplyEntry(Apply { method, ..Apply::default() }))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ApplyEntry, A::Error> {
                Apply::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(ApplyEntry)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ApplyEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApplyEntry".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (method, apply) = (generator.subschema_for::<Method>(), generator.subschema_for::<Apply>());
        schemars::json_schema!({"anyOf": [method, apply]})
    }
}

/// An identity: a user name alone, or with groups.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum DeployerEntry {
    /// `system:serviceaccount:ci:deployer`
    Name(String),
    /// With groups beyond those that every such user has.
    Full {
        /// User name.
        user: String,
        /// Groups.
        groups: Vec<String>,
    },
}

impl<'de> Deserialize<'de> for DeployerEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            user: String,
            #[serde(default)]
            groups: Vec<String>,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = DeployerEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a user name or a mapping with `user` and `groups`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DeployerEntry, E> {
                Ok(DeployerEntry::Name(text.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<DeployerEntry, A::Error> {
                let full = Full::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(DeployerEntry::Full { user: full.user, groups: full.groups })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An object that something else will have made by the time the release needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expected {
    /// Its kind.
    pub kind: String,
    /// Its namespace, where it has one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What makes it, for the report.
    #[serde(default)]
    pub by: Option<String>,
}

/// What a verdict needs to be a whole one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Governance {
    /// Checks that must have run; a verdict without one of them says so.
    pub(super) required_checks: Vec<String>,
}
