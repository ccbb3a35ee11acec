//! The schemas of built-in kinds, as the API server itself tells them: `/openapi/v3`, one document for each group version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ClusterError, ClusterErrorKind};
use super::resource::Resource;
use super::session::{JSON, Session, decode, get};
use super::wire::Reply;
use crate::snapshot::Asked;

/// Where the documents are listed.
pub(crate) const INDEX: &str = "/openapi/v3";
/// How references to components begin.
const COMPONENT: &str = "#/components/schemas/";

/// The schemas of one group version: names and types, and nothing of what they are for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schemas {
    #[serde(default)]
    components: Components,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<String, Schema>,
}

/// What a field holds, as far as a decoder looks at it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Schema {
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    reference: Option<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    all_of: Vec<Schema>,
    /// `string`, `integer`, `number`, `boolean`, `array` or `object`; `None` where it may be anything, or is told by the
    /// component's name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// For example `int32` or `byte`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Box<str>>,
    /// The fields of a struct.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Schema>,
    /// What a map holds, whatever the keys.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "schema_alone")]
    pub additional_properties: Option<Box<Schema>>,
    /// What a list holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    /// `atomic`, `set` or `map`.
    #[serde(rename = "x-kubernetes-list-type", skip_serializing_if = "Option::is_none")]
    pub list_type: Option<Box<str>>,
    /// By which fields the items of a list of the type `map` are told apart.
    #[serde(rename = "x-kubernetes-list-map-keys", skip_serializing_if = "Vec::is_empty")]
    pub list_map_keys: Vec<Box<str>>,
    /// What counts where nothing is written, if that is a text, a number or a boolean.
    #[serde(rename = "default", skip_serializing_if = "Option::is_none", deserialize_with = "scalar_alone")]
    pub default: Option<Value>,
    #[serde(rename = "x-kubernetes-group-version-kind", skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<GroupVersionKind>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct GroupVersionKind {
    group: Box<str>,
    version: Box<str>,
    kind: Box<str>,
}

/// `additionalProperties` may also be a boolean, which says nothing of types.
fn schema_alone<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Schema>>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if !value.is_object() {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(serde::de::Error::custom)
}

fn scalar_alone<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let default = Value::deserialize(deserializer)?;
    Ok(Some(default).filter(|value| value.is_string() || value.is_number() || value.is_boolean()))
}

impl Schemas {
    /// The component of a kind, with its name. `None` if there is none, or more than one.
    #[must_use]
    pub fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<(&str, &Schema)> {
        let is =
            |own: &GroupVersionKind| &*own.group == group && &*own.version == version && &*own.kind == kind;
        let mut all = self.components.schemas.iter().filter(|(_, schema)| schema.kinds.iter().any(is));
        let (name, schema) = all.next()?;
        all.next().is_none().then_some((name.as_str(), schema))
    }

    /// What a schema stands for: the component that it refers to, with its name, or itself. `None` where it refers to
    /// what is not there, or to several.
    #[must_use]
    pub fn resolve<'a>(&'a self, schema: &'a Schema) -> Option<(Option<&'a str>, &'a Schema)> {
        let reference = match (&schema.reference, schema.all_of.as_slice()) {
            (Some(reference), _) => reference,
            (None, []) => return Some((None, schema)),
            (None, [one]) => one.reference.as_ref()?,
            (None, _) => return None,
        };
        self.component(reference.strip_prefix(COMPONENT)?).map(|(name, schema)| (Some(name), schema))
    }

    /// Those that these kinds are made of, each reference in its shortest form.
    pub(crate) fn of_kinds(&self, kinds: &BTreeSet<String>) -> Self {
        let all = &self.components.schemas;
        let is_wanted = |schema: &Schema| schema.kinds.iter().any(|own| kinds.contains(&*own.kind));
        let mut open: Vec<&str> =
            all.iter().filter(|(_, schema)| is_wanted(schema)).map(|(name, _)| name.as_str()).collect();
        let mut schemas = BTreeMap::new();
        while let Some((name, schema)) = open.pop().and_then(|name| self.component(name)) {
            if schemas.contains_key(name) {
                continue;
            }
            let mut schema = schema.clone();
            schema.shorten();
            schema.refers_to(&mut |reference| {
                open.extend(all.get_key_value(reference).map(|(name, _)| name.as_str()));
            });
            // Schemas inside of definitions stand for themselves where nothing refers to them.
            if name.contains("JSONSchemaPropsOr") {
                let whole = name.rsplit_once("Or").map(|(whole, _)| whole).unwrap_or_default();
                open.extend(all.get_key_value(whole).map(|(name, _)| name.as_str()));
            }
            schemas.insert(name.to_owned(), schema);
        }
        Self { components: Components { schemas } }
    }

    /// The component of that name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<(&str, &Schema)> {
        self.components.schemas.get_key_value(name).map(|(name, schema)| (name.as_str(), schema))
    }
}

impl Schema {
    /// Writes references as such.
    fn shorten(&mut self) {
        if let ([one], None) = (self.all_of.as_slice(), &self.reference)
            && one.reference.is_some()
        {
            self.reference.clone_from(&one.reference);
            self.all_of.clear();
        }
        let below = self.properties.values_mut().chain(self.additional_properties.as_deref_mut());
        below.chain(self.items.as_deref_mut()).for_each(Self::shorten);
    }

    /// Tells the components that it refers to.
    fn refers_to(&self, tell: &mut impl FnMut(&str)) {
        if let Some(name) = self.reference.as_deref().and_then(|reference| reference.strip_prefix(COMPONENT))
        {
            tell(name);
        }
        let below = self.properties.values().chain(self.additional_properties.as_deref());
        below.chain(self.items.as_deref()).chain(&self.all_of).for_each(|schema| schema.refers_to(tell));
    }

    /// The field whose name is nearest to `name`, where one is near enough to have been meant.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
        let near = self.properties.keys().map(|known| (distance(known), known));
        near.filter(|(distance, _)| *distance <= 1.max(name.len() / 5)).min().map(|(_, known)| known.as_str())
    }
}

/// What `/openapi/v3` says: the URL of each document, by `api/v1` or `apis/apps/v1`.
#[derive(Deserialize)]
struct Index {
    paths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// The URLs of the documents.
pub(super) type Urls = Arc<BTreeMap<String, String>>;

impl Session {
    /// The document of a group version.
    pub(super) async fn schemas(self: &Arc<Self>, of: &Resource) -> Result<Arc<Schemas>, ClusterError> {
        let (group, version) = (&*of.group, &*of.version);
        let key = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        if let Some(recorder) = self.wire.recorder() {
            recorder.needs_schema(&key, &of.kind);
        }
        let session = Arc::clone(self);
        let wanted = key.clone();
        let ask = move || async move { session.read_schemas(&wanted).await.map(Arc::new) }.boxed();
        self.schemas.join(key, ask).await
    }

    async fn read_schemas(self: &Arc<Self>, key: &str) -> Result<Schemas, ClusterError> {
        let urls = self.urls_of_schemas().await?;
        let path = format!("{INDEX}/{key}");
        let Some(url) = urls.get(key) else {
            let message = "the API server tells no schemas of this group version";
            return Err(ClusterError::new(ClusterErrorKind::NotFound, format!("get {path}"), message));
        };
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut asked = get(path, JSON);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        asked.query.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let reply = match self.ask(&asked).await {
            // It has changed since it was listed.
            Err(error) if matches!(error.kind(), ClusterErrorKind::Status(301)) => {
                asked.query.clear();
                self.ask(&asked).await?
            }
            reply => reply?,
        };
        schemas(&asked, &reply)
    }

    async fn urls_of_schemas(self: &Arc<Self>) -> Result<Urls, ClusterError> {
        let session = Arc::clone(self);
        let ask = move || {
            async move {
                let asked = get(INDEX, JSON);
                let index: Index = decode(&asked, &session.ask(&asked).await?)?;
                let urls = index.paths.into_iter().map(|(key, entry)| (key, entry.server_relative_url));
                Ok(Arc::new(urls.collect()))
            }
            .boxed()
        };
        self.urls_of_schemas.join(INDEX.to_owned(), ask).await
    }
}

fn schemas(asked: &Asked, reply: &Reply) -> Result<Schemas, ClusterError> {
    let schemas: Schemas = decode(asked, reply)?;
    if schemas.components.schemas.is_empty() {
        let question = format!("get {}", asked.path);
        return Err(ClusterError::new(ClusterErrorKind::Decode, question, "the document holds no schemas"));
    }
    Ok(schemas)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        let component = |name: &str| json!({"$ref": format!("{COMPONENT}{name}")});
        serde_json::from_value(json!({
            "paths": {"/apis/apps/v1": {"get": {"description": "left out"}}},
            "components": {"schemas": {
                "io.k8s.api.apps.v1.Deployment": {
                    "type": "object", "description": "left out", "required": ["spec"],
                    "properties": {"spec": {"allOf": [component("Spec")], "default": {}}},
                    "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}]},
                "Spec": {"type": "object", "properties": {
                    "replicas": {"type": "integer", "format": "int32", "default": 1},
                    "free": {"type": "object", "additionalProperties": true},
                    "labels": {"type": "object", "additionalProperties": {"type": "string", "default": ""}}}},
                "Twice": {"x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "A"}]},
                "Again": {"x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "A"}]},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_kind_leads_to_its_fields() {
        let schemas = schemas();
        let (name, deployment) = schemas.of_kind("apps", "v1", "Deployment").unwrap();
        assert_eq!(name, "io.k8s.api.apps.v1.Deployment");
        let (name, spec) = schemas.resolve(&deployment.properties["spec"]).unwrap();
        assert_eq!((name, spec.properties["replicas"].format.as_deref()), (Some("Spec"), Some("int32")));
        assert_eq!(spec.properties["replicas"].default, Some(json!(1)));
        assert_eq!(deployment.properties["spec"].default, None);
        assert!(spec.properties["free"].additional_properties.is_none());
        assert!(spec.properties["labels"].additional_properties.is_some());
        assert!(schemas.of_kind("apps", "v1", "StatefulSet").is_none());
        assert!(schemas.of_kind("", "v1", "A").is_none(), "there are two of them");
    }

    #[test]
    fn what_kinds_are_made_of_is_kept_and_nothing_else() {
        let kept = schemas().of_kinds(&["Deployment".to_owned()].into());
        let names: Vec<_> = kept.components.schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Spec", "io.k8s.api.apps.v1.Deployment"]);
        let (_, deployment) = kept.of_kind("apps", "v1", "Deployment").unwrap();
        let spec = &deployment.properties["spec"];
        assert!(spec.all_of.is_empty() && kept.resolve(spec).unwrap().0 == Some("Spec"));
    }

    #[test]
    fn a_misspelt_field_has_a_nearest_one() {
        let schemas = schemas();
        let (_, spec) = schemas.component("Spec").unwrap();
        assert_eq!(spec.nearest("replica"), Some("replicas"));
        assert_eq!(spec.nearest("REPLICAS"), Some("replicas"));
        assert_eq!(spec.nearest("paused"), None);
    }

    #[test]
    fn what_is_written_again_is_the_same_without_words() {
        let schemas = schemas();
        let written = serde_json::to_value(&schemas).unwrap();
        assert!(!written.to_string().contains("left out"));
        assert_eq!(serde_json::from_value::<Schemas>(written).unwrap(), schemas);
    }
}
