//! What a snapshot holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Asked;
use super::resources::Plurals;

/// `apiVersion` of a snapshot's header.
pub(super) const API_VERSION: &str = crate::report::API_VERSION;
/// `kind` of a snapshot's header.
pub(super) const KIND: &str = "Snapshot";
/// `kind` of the schemas of a group version.
pub(super) const SCHEMAS: &str = "Schemas";

/// What a snapshot says of itself, and what is not an object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Header {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<String>,
    /// The namespace of objects that name none, as the kubeconfig's context said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    /// `GET /version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<Value>,
    /// `GET /readyz?verbose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readyz: Option<Text>,
    /// Group versions whose schemas the API server tells (`GET /openapi/v3`): `api/v1`, `apis/apps/v1`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) schemas: BTreeSet<String>,
    /// Paths of lists of which every item is in the file.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) lists: BTreeSet<String>,
    /// Paths of objects that are not there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) absent: BTreeSet<String>,
    /// Paths that were refused, with the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) refused: Vec<Refused>,
}

/// An answer in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    pub(super) code: u16,
    pub(super) body: String,
}

/// A question that was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    pub(super) path: String,
    pub(super) code: u16,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Everything in a snapshot, by the paths by which an API server serves it.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) header: Header,
    /// The discovery documents of `/api` and `/apis`.
    pub(super) discovery: BTreeMap<&'static str, Value>,
    /// Schemas by their path in `/openapi/v3`, with that path in them: `api/v1`.
    pub(super) schemas: BTreeMap<String, Value>,
    /// Access reviews: kind, and spec in JSON, to status.
    pub(super) reviews: BTreeMap<(String, String), Value>,
    /// Objects by the path of their list (of their namespace, where they have one) and their name.
    pub(super) objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Kinds of the lists, by their cluster-wide path, for lists that are empty.
    pub(super) kinds: BTreeMap<String, String>,
}

impl Store {
    /// Puts an object where the API server would serve it.
    pub(super) fn put(&mut self, object: Value, plurals: &Plurals) {
        let (Some(list), Some(name)) = (plurals.list_path(&object), text(&object, "/metadata/name")) else {
            return;
        };
        let kind = text(&object, "/kind").unwrap_or_default();
        self.kinds.insert(cluster_wide(&list), kind);
        self.objects.entry(list).or_default().insert(name, object);
    }

    /// The items of a list: of one namespace, or of all. `None` if they are not all in the snapshot.
    pub(super) fn list(&self, path: &str) -> Option<Vec<&Value>> {
        let wide = cluster_wide(path);
        let complete = self.header.lists.contains(path) || self.header.lists.contains(&wide);
        if !complete {
            return None;
        }
        let of_list = |found: &str| found == path || (path == wide && cluster_wide(found) == wide);
        let lists = self.objects.iter().filter(|(found, _)| of_list(found));
        Some(lists.flat_map(|(_, items)| items.values()).collect())
    }

    /// What is known of a list of which only what a selector selects was asked.
    pub(super) fn selected(&self, path: &str, asked: &Asked) -> Option<Vec<&Value>> {
        let list = selected_list(path, asked)?;
        let known = self.objects.get(path).map(|items| items.values().collect()).unwrap_or_default();
        self.header.lists.contains(&list).then_some(known)
    }

    /// Whether a path was refused, and how.
    pub(super) fn refused(&self, path: &str) -> Option<&Refused> {
        self.header.refused.iter().find(|refused| refused.path == path)
    }
}

/// The path of the list of all namespaces: `/apis/apps/v1/namespaces/shop/deployments` to `/apis/apps/v1/deployments`.
pub(super) fn cluster_wide(list: &str) -> String {
    if let Some((base, rest)) = list.split_once("/namespaces/")
        && let Some((_, plural)) = rest.split_once('/')
    {
        return format!("{base}/{plural}");
    }
    list.to_owned()
}

/// How a list of what a label selector selects stands in the header.
pub(super) fn selected_list(path: &str, asked: &Asked) -> Option<String> {
    Some(format!("{path}?labelSelector={}", asked.parameter("labelSelector")?))
}

pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// The spec of a review without what says nothing, as a key.
pub(super) fn review_key(spec: Option<&Value>) -> String {
    fn prune(value: &mut Value) {
        if let Value::Object(map) = value {
            map.values_mut().for_each(prune);
            map.retain(|_, value| {
                !value.is_null()
                    && value.as_str() != Some("")
                    && value.as_array().is_none_or(|a| !a.is_empty())
            });
        }
    }
    let mut spec = spec.cloned().unwrap_or_default();
    prune(&mut spec);
    if spec.as_object().is_some_and(serde_json::Map::is_empty) {
        spec = Value::Null;
    }
    spec.to_string()
}
