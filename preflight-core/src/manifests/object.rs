//! One object, as written.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InputError;
use crate::yaml::{FieldPath, Located, Node, Place, Source, Value};

/// What identifies an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, where one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name, or what generated names begin with.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        // Groups of Kubernetes itself have no dot, or end in `.k8s.io`.
        if self.group.contains('.') && !self.group.ends_with(".k8s.io") {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None => write!(f, " {}", self.name),
        }
    }
}

/// One object, as written.
#[derive(Debug)]
pub struct Object {
    root: Node,
    source: Arc<Source>,
    id: ObjectId,
    version: String,
    generated: bool,
}

impl Object {
    pub(super) fn new(root: Node, source: &Arc<Source>) -> Result<Self, InputError> {
        if !matches!(root.value, Value::Map(_)) {
            return Err(InputError::new(format!("this is {}, not a Kubernetes object", root.describe()))
                .at(source.place(root.span, true)));
        }
        let api_version = required(&root, source, "apiVersion")?;
        let kind = required(&root, source, "kind")?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let (group, version) = (group.to_owned(), version.to_owned());
        if root.get("metadata").is_none_or(|metadata| !matches!(metadata.value, Value::Map(_))) {
            return Err(missing(&root, source, &kind, "metadata"));
        }
        let namespace =
            optional(&root, source, "metadata.namespace")?.filter(|namespace| !namespace.is_empty());
        let name = optional(&root, source, "metadata.name")?.filter(|name| !name.is_empty());
        let prefix = optional(&root, source, "metadata.generateName")?.filter(|name| !name.is_empty());
        let generated = name.is_none();
        let Some(name) = name.or(prefix) else {
            return Err(missing(&root, source, &kind, "metadata.name"));
        };
        let id = ObjectId { group, kind, namespace, name };
        Ok(Self { root, source: Arc::clone(source), id, version, generated })
    }

    /// API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.id.group
    }

    /// Version, for example `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.id.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.id.group, self.version)
        }
    }

    /// Kind, for example `Deployment`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.id.kind
    }

    /// Its name; `None` where the server will generate one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.generated).then_some(self.id.name.as_str())
    }

    /// Its name, or what its generated name will begin with.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.id.name
    }

    /// The namespace, where one is written.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.id.namespace.as_deref()
    }

    /// What identifies it.
    #[must_use]
    pub const fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Its annotations.
    #[must_use]
    pub fn annotations(&self) -> Vec<(&str, &str)> {
        self.pairs("metadata.annotations")
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Vec<(&str, &str)> {
        self.pairs("metadata.labels")
    }

    fn pairs(&self, path: &str) -> Vec<(&str, &str)> {
        let entries = self.root.at(&FieldPath::of(path)).map(Node::entries).unwrap_or_default();
        entries.iter().filter_map(|(key, value)| Some((key.name.as_str(), value.str()?))).collect()
    }

    /// Everything that is written, with places.
    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// Everything that is written, in JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        self.root.json()
    }

    /// The string at a path of keys, where there is one.
    #[must_use]
    pub fn text(&self, dotted: &str) -> Option<&str> {
        self.root.text(dotted)
    }

    /// A part of it as a typed value.
    ///
    /// # Errors
    /// It does not fit the type; the place is told.
    pub fn read<T: serde::de::DeserializeOwned>(&self, path: &FieldPath) -> Result<Option<T>, InputError> {
        let Some(node) = self.root.at(path) else {
            return Ok(None);
        };
        T::deserialize(node).map(Some).map_err(|error: Located| {
            let inner = path.clone().join(&error.path());
            let place = error.span.map_or_else(|| self.place(&inner), |span| self.source.place(span, true));
            InputError::new(format!("{}: {inner}: {}", self.id, error.message))
                .at(place)
                .maybe_help(error.help)
        })
    }

    /// Where a field is written, or its nearest ancestor. What may be secret is not shown.
    #[must_use]
    pub fn place(&self, path: &FieldPath) -> Place {
        let (span, exact) = self.root.locate(path);
        if self.may_be_secret(path) {
            return self.source.place_without_snippet(span, exact);
        }
        self.source.place(span, exact)
    }

    /// Where its name is written.
    #[must_use]
    pub fn place_of_name(&self) -> Place {
        let key = if self.generated { "metadata.generateName" } else { "metadata.name" };
        self.place(&FieldPath::of(key))
    }

    /// Contents of Secrets, and literal values of environment variables.
    fn may_be_secret(&self, path: &FieldPath) -> bool {
        let path = path.to_string();
        let of_secret =
            self.id.kind == "Secret" && (path.starts_with("data") || path.starts_with("stringData"));
        // Written on one line, the contents would stand beside the name.
        let on_one_line = self.id.kind == "Secret"
            && self.root.entries().iter().all(|(key, _)| key.span.line == self.root.span.line);
        of_secret || on_one_line || (path.contains(".env[") && path.ends_with(".value"))
    }
}

fn required(root: &Node, source: &Arc<Source>, key: &str) -> Result<String, InputError> {
    match optional(root, source, key)?.filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => Err(missing(root, source, "the object", key)),
    }
}

fn missing(root: &Node, source: &Arc<Source>, what: &str, key: &str) -> InputError {
    let (span, _) = root.locate(&FieldPath::of(key));
    InputError::new(format!("{what} has no `{key}`"))
        .at(source.place(span, false))
        .help("every Kubernetes object has apiVersion, kind and metadata.name (or metadata.generateName)")
}

fn optional(root: &Node, source: &Arc<Source>, path: &str) -> Result<Option<String>, InputError> {
    let path = FieldPath::of(path);
    let Some(node) = root.at(&path) else {
        return Ok(None);
    };
    match &node.value {
        Value::Str(text) => Ok(Some(text.clone())),
        Value::Null => Ok(None),
        _ => Err(InputError::new(format!("`{path}` is {}, not a string", node.describe()))
            .at(source.place(node.span, true))
            .help("put it in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Manifests;

    fn one(text: &str) -> Arc<Object> {
        Arc::clone(&Manifests::parse("a.yaml", text).unwrap().objects()[0])
    }

    #[test]
    fn ids_read_as_people_write_them() {
        for (text, id) in [
            (
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}",
                "Deployment shop/web",
            ),
            (
                "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}}",
                "ClusterRole r",
            ),
            (
                "{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: i}}",
                "Issuer.cert-manager.io i",
            ),
            ("{apiVersion: batch/v1, kind: Job, metadata: {generateName: j-}}", "Job j-"),
        ] {
            assert_eq!(one(text).id().to_string(), id);
        }
    }

    #[test]
    fn what_is_missing_or_mistyped_is_told_with_its_place() {
        for (text, message, line) in [
            ("kind: A\nmetadata: {name: a}\n", "the object has no `apiVersion`", 1),
            ("apiVersion: v1\nkind: A\nmetadata:\n  labels: {}\n", "A has no `metadata.name`", 3),
            (
                "apiVersion: v1\nkind: A\nmetadata:\n  name: 1\n",
                "`metadata.name` is a number, not a string",
                4,
            ),
            ("- a\n", "this is a list, not a Kubernetes object", 1),
        ] {
            let error = Manifests::parse("a.yaml", text).unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.place().map(|place| place.line)),
                (message, Some(line))
            );
        }
    }

    #[test]
    fn contents_of_secrets_and_of_variables_are_never_shown() {
        let secret = one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  k: canary\n");
        assert_eq!(secret.place(&FieldPath::of("stringData.k")).snippet, None);
        let one_line = one("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {k: canary}}");
        assert_eq!(one_line.place_of_name().snippet, None);
        let pod = one(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    env:\n    - name: X\n      value: canary\n",
        );
        let env = FieldPath::of("spec.containers").index(0).key("env").index(0).key("value");
        assert_eq!(pod.place(&env).snippet, None);
        assert!(pod.place_of_name().snippet.is_some());
    }

    #[test]
    fn typed_reading_tells_the_place() {
        let object = one("apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec:\n  replicas: \"3\"\n");
        let error = object.read::<u32>(&FieldPath::of("spec.replicas")).unwrap_err();
        assert_eq!(error.place().map(|place| (place.line, place.column)), Some((5, 13)));
    }
}
