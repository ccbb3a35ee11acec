//! What an environment says of the operators that it requires.

use std::collections::BTreeMap;

use preflight_core::{Environment, FieldPath, Settings, SettingsProblem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Operators that the cluster must have, by a name of the environment's choosing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Operators(pub BTreeMap<String, Operator>);

/// How an operator is found: by one of `deployment`, `stateful_set`, `daemon_set`, `selector` and
/// `cluster_service_version`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Operator {
    /// Its namespace.
    pub namespace: String,
    /// Name of its Deployment.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Name of its StatefulSet.
    #[serde(default)]
    pub stateful_set: Option<String>,
    /// Name of its DaemonSet.
    #[serde(default)]
    pub daemon_set: Option<String>,
    /// Labels of its Deployments, StatefulSets and DaemonSets: `app=cert-manager`.
    #[serde(default)]
    pub selector: Option<String>,
    /// Name of its ClusterServiceVersion, where the Operator Lifecycle Manager keeps it.
    #[serde(default)]
    pub cluster_service_version: Option<String>,
    /// Name of the Lease by which its replicas choose their leader.
    #[serde(default)]
    pub lease: Option<String>,
    /// The Lease's namespace, where it is another.
    #[serde(default)]
    pub lease_namespace: Option<String>,
}

impl Operator {
    /// Namespace and name of the Lease by which its replicas choose their leader, if it names one.
    pub(super) fn leads_by(&self) -> Option<(&str, &str)> {
        let namespace = self.lease_namespace.as_deref().unwrap_or(&self.namespace);
        Some((namespace, self.lease.as_deref()?))
    }
}

impl Settings for Operators {
    const SECTION: &'static str = "operators";

    fn validate(&self, _environment: &Environment) -> Result<(), SettingsProblem> {
        for (name, operator) in &self.0 {
            let ways = [
                &operator.deployment,
                &operator.stateful_set,
                &operator.daemon_set,
                &operator.selector,
                &operator.cluster_service_version,
            ];
            let names = [
                ("namespace", Some(&operator.namespace)),
                ("deployment", operator.deployment.as_ref()),
                ("stateful_set", operator.stateful_set.as_ref()),
                ("daemon_set", operator.daemon_set.as_ref()),
                ("cluster_service_version", operator.cluster_service_version.as_ref()),
                ("lease", operator.lease.as_ref()),
                ("lease_namespace", operator.lease_namespace.as_ref()),
            ];
            let is_name = |text: &str| {
                let inside =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
                !text.is_empty() && text.bytes().all(inside)
            };
            if let Some((key, text)) = names.iter().find(|(_, text)| text.is_some_and(|text| !is_name(text)))
            {
                return Err(SettingsProblem::new(
                    FieldPath::root().key(name.clone()).key(*key),
                    format!("{:?} is no name of an object", text.map(String::as_str).unwrap_or_default()),
                    "names are in lower case, with digits, dashes and dots",
                ));
            }
            let given = ways.iter().filter(|way| way.is_some()).count();
            if given != 1 {
                return Err(SettingsProblem::new(
                    FieldPath::root().key(name.clone()),
                    format!("the operator `{name}` is to be found in {given} ways instead of one"),
                    "name one of deployment, stateful_set, daemon_set, selector and cluster_service_version",
                ));
            }
        }
        Ok(())
    }
}
