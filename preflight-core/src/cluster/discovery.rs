//! What the API server serves, judged one group version at a time: a group whose back end is down says nothing
//! about the others, and what it listed before it went down is not trusted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::Resource;

/// One kind that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The kind, with its plural and scope.
    pub resource: Resource,
    /// The verbs that it supports.
    pub verbs: Vec<String>,
}

/// Whether a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<'a> {
    /// It is.
    Served(&'a Served),
    /// Its group version is registered, but whatever serves it does not answer.
    Unavailable,
    /// It is not; these versions of the group serve a kind of that name.
    NotServed {
        /// Versions that do serve the kind, in the server's order of preference.
        versions: Vec<String>,
    },
}

/// What the API server serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    groups: BTreeMap<String, Vec<Version>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    version: String,
    fresh: bool,
    kinds: BTreeMap<String, Served>,
}

impl Discovery {
    /// Whether a kind is served.
    #[must_use]
    pub fn lookup(&self, group: &str, version: &str, kind: &str) -> Lookup<'_> {
        let Some(versions) = self.groups.get(group) else {
            return Lookup::NotServed { versions: Vec::new() };
        };
        if let Some(found) = versions.iter().find(|v| v.version == version) {
            match found.kinds.get(kind) {
                _ if !found.fresh => return Lookup::Unavailable,
                Some(served) => return Lookup::Served(served),
                None => {}
            }
        }
        let serves = |v: &&Version| v.fresh && v.kinds.contains_key(kind);
        Lookup::NotServed { versions: versions.iter().filter(serves).map(|v| v.version.clone()).collect() }
    }

    /// The kinds served, in all groups and versions whose back end answers.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.groups
            .values()
            .flatten()
            .filter(|version| version.fresh)
            .flat_map(|version| version.kinds.values())
    }

    /// `group/version` of everything that is registered and does not answer.
    #[must_use]
    pub fn unavailable(&self) -> Vec<String> {
        let stale = |(group, versions): (&String, &Vec<Version>)| {
            versions
                .iter()
                .filter(|version| !version.fresh)
                .map(|version| format!("{group}/{}", version.version))
                .collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(stale).collect()
    }

    /// The served kind whose name is nearest to `kind`, where one is near enough to have been meant.
    #[must_use]
    pub fn nearest(&self, kind: &str) -> Option<&Served> {
        self.served()
            .map(|served| (strsim::damerau_levenshtein(&served.resource.kind, kind), served))
            .filter(|(distance, _)| *distance <= 2.max(kind.len() / 5))
            .min_by_key(|(distance, served)| (*distance, served.resource.group.len()))
            .map(|(_, served)| served)
    }

    /// Adds a group version that does not answer.
    pub(crate) fn add_unavailable(&mut self, group: &str, version: &str) {
        self.groups.entry(group.to_owned()).or_default().push(Version {
            version: version.to_owned(),
            fresh: false,
            kinds: BTreeMap::new(),
        });
    }

    /// Adds an `APIGroupDiscoveryList`.
    pub(crate) fn add_aggregated(&mut self, list: AggregatedList) {
        for group in list.items {
            let versions = group.versions.into_iter().map(|version| Version {
                fresh: version.freshness.as_deref() != Some("Stale"),
                kinds: version
                    .resources
                    .into_iter()
                    .filter_map(|resource| {
                        let kind = resource.response_kind?.kind;
                        let served = served(
                            &group.metadata.name,
                            &version.version,
                            resource.resource,
                            kind.clone(),
                            resource.scope.as_deref() == Some("Namespaced"),
                            resource.verbs,
                        );
                        Some((kind, served))
                    })
                    .collect(),
                version: version.version,
            });
            self.groups.entry(group.metadata.name.clone()).or_default().extend(versions);
        }
    }

    /// Adds an `APIResourceList`, as servers give it that do not aggregate.
    pub(crate) fn add_resources(&mut self, group: &str, version: &str, list: LegacyResources) {
        let kinds = list
            .resources
            .into_iter()
            .filter(|resource| !resource.name.contains('/'))
            .map(|resource| {
                let served = served(
                    group,
                    version,
                    resource.name,
                    resource.kind.clone(),
                    resource.namespaced,
                    resource.verbs,
                );
                (resource.kind, served)
            })
            .collect();
        self.groups.entry(group.to_owned()).or_default().push(Version {
            version: version.to_owned(),
            fresh: true,
            kinds,
        });
    }
}

fn served(
    group: &str,
    version: &str,
    plural: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
) -> Served {
    Served {
        resource: Resource {
            group: Cow::Owned(group.to_owned()),
            version: Cow::Owned(version.to_owned()),
            plural: Cow::Owned(plural),
            kind: Cow::Owned(kind),
            namespaced,
        },
        verbs,
    }
}

#[derive(Deserialize)]
pub(crate) struct AggregatedList {
    #[serde(default)]
    items: Vec<AggregatedGroup>,
}

#[derive(Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<AggregatedVersion>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    version: String,
    freshness: Option<String>,
    #[serde(default)]
    resources: Vec<AggregatedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    response_kind: Option<ResponseKind>,
    scope: Option<String>,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    kind: String,
}

#[derive(Deserialize)]
pub(crate) struct LegacyResources {
    #[serde(default)]
    resources: Vec<LegacyResource>,
}

#[derive(Deserialize)]
struct LegacyResource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// `APIGroupList`, as servers give it that do not aggregate.
#[derive(Deserialize)]
pub(crate) struct LegacyGroups {
    #[serde(default)]
    pub(crate) groups: Vec<LegacyGroup>,
}

#[derive(Deserialize)]
pub(crate) struct LegacyGroup {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) versions: Vec<LegacyVersion>,
}

#[derive(Deserialize)]
pub(crate) struct LegacyVersion {
    pub(crate) version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        let mut discovery = Discovery::default();
        let list = serde_json::json!({"items": [
            {"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["get"]}]}]},
            {"metadata": {"name": "metrics.example.com"}, "versions": [{"version": "v1", "freshness": "Stale", "resources": [
                {"resource": "things", "responseKind": {"kind": "Thing"}, "scope": "Namespaced", "verbs": ["get"]}]}]},
            {"metadata": {"name": "policy"}, "versions": [{"version": "v1", "resources": [
                {"resource": "poddisruptionbudgets", "responseKind": {"kind": "PodDisruptionBudget"}, "scope": "Namespaced"}]}]},
        ]});
        discovery.add_aggregated(serde_json::from_value(list).unwrap());
        discovery
    }

    #[test]
    fn a_stale_group_is_unavailable_even_for_kinds_that_it_lists() {
        let discovery = discovery();
        assert_eq!(discovery.lookup("metrics.example.com", "v1", "Thing"), Lookup::Unavailable);
        assert_eq!(discovery.unavailable(), ["metrics.example.com/v1"]);
        assert!(discovery.served().all(|served| served.resource.kind != "Thing"));
    }

    #[test]
    fn what_is_served_is_found_and_what_is_not_names_the_versions_that_are() {
        let discovery = discovery();
        let Lookup::Served(pod) = discovery.lookup("", "v1", "Pod") else { panic!("pods are served") };
        assert_eq!(pod.resource, Resource::namespaced("", "v1", "pods", "Pod"));
        assert_eq!(
            discovery.lookup("policy", "v1beta1", "PodDisruptionBudget"),
            Lookup::NotServed { versions: vec!["v1".into()] }
        );
        assert_eq!(discovery.lookup("nowhere", "v1", "Pod"), Lookup::NotServed { versions: vec![] });
    }

    #[test]
    fn a_misspelt_kind_has_a_nearest_one_and_nonsense_has_none() {
        let discovery = discovery();
        let nearest =
            discovery.nearest("PodDisruptionBudgets").map(|served| served.resource.kind.to_string());
        assert_eq!(nearest.as_deref(), Some("PodDisruptionBudget"));
        assert!(discovery.nearest("Certificate").is_none());
    }
}
