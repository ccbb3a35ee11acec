//! What serves the kinds of the manifests: the cluster, or a CustomResourceDefinition that comes with them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::cluster::{Discovery, Lookup, Resource};
use crate::manifests::{Manifests, Object};

/// What serves an object's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serving {
    /// The cluster, now.
    Cluster(Resource),
    /// A CustomResourceDefinition of the release, once it is established.
    Release {
        /// The kind that it will be.
        resource: Resource,
        /// The definition's name.
        definition: String,
    },
    /// The cluster has its group version registered, but what serves it does not answer.
    Unavailable,
    /// Nothing.
    Nothing {
        /// Versions of the group that do serve a kind of that name.
        versions: Vec<String>,
        /// The kind that is served and that may have been meant.
        nearest: Option<String>,
    },
}

impl Serving {
    /// The kind as it is, or will be, served.
    #[must_use]
    pub const fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Cluster(resource) | Self::Release { resource, .. } => Some(resource),
            Self::Unavailable | Self::Nothing { .. } => None,
        }
    }
}

type Kinds = HashMap<(String, String, String), (Resource, String)>;

pub(super) fn of(object: &Object, discovery: &Discovery, own: &Kinds) -> Serving {
    match discovery.lookup(object.group(), object.version(), object.kind()) {
        Lookup::Served(served) => Serving::Cluster(served.resource.clone()),
        other => {
            let key = (object.group().to_owned(), object.version().to_owned(), object.kind().to_owned());
            match (own.get(&key), other) {
                (Some((resource, definition)), _) => {
                    Serving::Release { resource: resource.clone(), definition: definition.clone() }
                }
                (None, Lookup::NotServed { versions }) => {
                    let nearest = discovery.nearest(object.kind()).map(|near| {
                        let resource = &near.resource;
                        match resource.group.is_empty() {
                            true => format!("{} {}", resource.version, resource.kind),
                            false => format!("{}/{} {}", resource.group, resource.version, resource.kind),
                        }
                    });
                    Serving::Nothing { versions, nearest }
                }
                (None, _) => Serving::Unavailable,
            }
        }
    }
}

/// The kinds that the CustomResourceDefinitions among the manifests will serve, by group, version and kind.
pub(super) fn kinds_of_crds(manifests: &Manifests) -> Kinds {
    let mut kinds = HashMap::new();
    for object in manifests.objects() {
        if object.group() != "apiextensions.k8s.io" || object.kind() != "CustomResourceDefinition" {
            continue;
        }
        let crd = object.json();
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(group), Some(kind), Some(plural)) =
            (text("/spec/group"), text("/spec/names/kind"), text("/spec/names/plural"))
        else {
            continue;
        };
        let namespaced = text("/spec/scope").as_deref() == Some("Namespaced");
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
        for version in versions.filter(|version| version["served"] == Value::Bool(true)) {
            let Some(name) = version["name"].as_str() else {
                continue;
            };
            let resource = Resource {
                group: Cow::Owned(group.clone()),
                version: Cow::Owned(name.to_owned()),
                plural: Cow::Owned(plural.clone()),
                kind: Cow::Owned(kind.clone()),
                namespaced,
            };
            let definition = object.name().unwrap_or_default().to_owned();
            kinds.insert((group.clone(), name.to_owned(), kind.clone()), (resource, definition));
        }
    }
    kinds
}
