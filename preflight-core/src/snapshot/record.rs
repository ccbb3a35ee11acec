//! Recording what an API server answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::Asked;
use super::mask::mask;
use super::resources::Plurals;
use super::store::{
    API_VERSION, Header, KIND, Refused, SCHEMAS, Store, Text, cluster_wide, review_key, selected_list, text,
};
use super::yaml_out::to_yaml;
use crate::cluster::{Cluster, OPENAPI, Schemas};

/// Records what an API server answers, for a snapshot. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    plurals: Plurals,
    /// By the path of their document.
    schemas: BTreeMap<String, Schemas>,
    /// Pages of lists under way, by path.
    pages: BTreeMap<String, Vec<Value>>,
    /// Kinds whose schemas are needed, by the path of their document: `apis/apps/v1`.
    kinds: BTreeMap<String, BTreeSet<String>>,
    /// Objects that came before discovery did.
    reviews: Vec<Value>,
}

impl Recorder {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an answer.
    pub(crate) fn saw(&self, asked: &Asked, code: u16, body: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let path = asked.path.trim_end_matches('/');
        if path == "/readyz" {
            let body = String::from_utf8_lossy(body).into_owned();
            state.store.header.readyz = Some(Text { code, body });
            return;
        }
        if let (Some(of), 200) = (path.strip_prefix(OPENAPI).and_then(|rest| rest.strip_prefix('/')), code) {
            return state.schemas(of, body);
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        match (asked.method.as_str(), path, code) {
            ("GET", "/version", 200) => state.store.header.version = Some(value),
            ("GET", OPENAPI, 200) => {
                let paths = value["paths"].as_object().into_iter().flatten();
                state.store.header.schemas = paths.map(|(path, _)| path.clone()).collect();
            }
            ("GET", "/api" | "/apis", 200) => state.discovery(path, value),
            ("POST", _, 200..=299) => state.review(asked, &value),
            ("GET", _, 200) => state.objects(asked, path, value),
            ("GET", _, 404) => {
                state.store.header.absent.insert(path.to_owned());
            }
            (_, _, 401..=403) => state.refused(path, code, &value),
            _ => {}
        }
    }

    /// Takes note that the schema of a kind is needed: of a document, only what such kinds are made of is kept.
    pub(crate) fn needs_schema(&self, document: &str, kind: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.kinds.entry(document.to_owned()).or_default().insert(kind.to_owned());
    }

    /// Writes the snapshot of a cluster: a header, then plain objects, in an order that does not change.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, cluster: &Cluster, recorded_at: &str, to: &mut dyn Write) -> io::Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let header = Header {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            recorded_at: Some(recorded_at.to_owned()),
            recorded_by: Some(format!("preflight {}", env!("CARGO_PKG_VERSION"))),
            server: cluster.server().map(str::to_owned),
            namespace: cluster.namespace().map(str::to_owned),
            ..state.store.header.clone()
        };
        write_document(&serde_json::to_value(header)?, to)?;
        for document in state.store.discovery.values().chain(&state.reviews) {
            write_document(document, to)?;
        }
        for (path, schemas) in &state.schemas {
            let mut document =
                serde_json::to_value(schemas.of_kinds(state.kinds.get(path).unwrap_or(&BTreeSet::new())))?;
            document["apiVersion"] = API_VERSION.into();
            document["kind"] = SCHEMAS.into();
            document["path"] = path.clone().into();
            write_document(&document, to)?;
        }
        for object in state.store.objects.values().flat_map(BTreeMap::values) {
            write_document(object, to)?;
        }
        Ok(())
    }
}

impl State {
    fn discovery(&mut self, path: &str, value: Value) {
        if text(&value, "/kind").as_deref() != Some("APIGroupDiscoveryList") {
            return;
        }
        self.plurals.learn(&value);
        self.store.discovery.insert(if path == "/api" { "/api" } else { "/apis" }, value);
    }

    /// Names and types of fields are kept, and nothing of what they are for.
    fn schemas(&mut self, path: &str, body: &[u8]) {
        if let Ok(schemas) = serde_json::from_slice::<Schemas>(body) {
            self.schemas.insert(path.to_owned(), schemas);
        }
    }

    fn review(&mut self, asked: &Asked, answer: &Value) {
        let Some(body) = &asked.body else { return };
        let mut review = body.clone();
        review["status"] = answer["status"].clone();
        if let Some(user) = review.pointer_mut("/status/userInfo").and_then(Value::as_object_mut) {
            user.remove("extra");
        }
        let key = (text(body, "/kind").unwrap_or_default(), review_key(body.get("spec")));
        if self.store.reviews.insert(key, review["status"].clone()).is_none() {
            self.reviews.push(review);
            self.reviews.sort_by_cached_key(|review| (text(review, "/kind"), review_key(review.get("spec"))));
        }
    }

    fn objects(&mut self, asked: &Asked, path: &str, mut value: Value) {
        let Some(items) = value.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take) else {
            self.put(path, value);
            return;
        };
        let (kind, api_version) = (text(&value, "/kind").unwrap_or_default(), text(&value, "/apiVersion"));
        let kind = kind.strip_suffix("List").unwrap_or_default().to_owned();
        let pages = self.pages.entry(path.to_owned()).or_default();
        if asked.parameter("continue").is_none() {
            pages.clear();
        }
        pages.extend(items.into_iter().map(|mut item| {
            if item.get("kind").is_none() {
                item["kind"] = kind.clone().into();
                item["apiVersion"] = api_version.clone().into();
            }
            mask(&mut item);
            item
        }));
        if text(&value, "/metadata/continue").is_some_and(|more| !more.is_empty()) {
            return;
        }
        for item in self.pages.remove(path).unwrap_or_default() {
            self.put(path, item);
        }
        if asked.parameter("fieldSelector").is_some() {
            return;
        }
        match selected_list(path, asked) {
            Some(selected) => self.store.header.lists.insert(selected),
            None => self.store.header.lists.insert(path.to_owned()),
        };
        self.store.kinds.insert(cluster_wide(path), kind);
    }

    fn put(&mut self, path: &str, mut object: Value) {
        if text(&object, "/kind").as_deref() == Some("PartialObjectMetadata") {
            let Some((api_version, kind)) = self.kind_of(path) else {
                return;
            };
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
        }
        mask(&mut object);
        self.store.put(object, &self.plurals);
    }

    /// The kind of the objects at a path. Metadata alone is only ever asked of Secrets.
    fn kind_of(&self, path: &str) -> Option<(&'static str, &'static str)> {
        path.starts_with("/api/v1/").then_some(())?;
        path.split('/').any(|segment| segment == "secrets").then_some(("v1", "Secret"))
    }

    fn refused(&mut self, path: &str, code: u16, value: &Value) {
        if self.store.refused(path).is_none() {
            self.store.header.refused.push(Refused {
                path: path.to_owned(),
                code,
                reason: text(value, "/reason").unwrap_or_default(),
                message: text(value, "/message").unwrap_or_default(),
            });
            self.store.header.refused.sort_by(|a, b| a.path.cmp(&b.path));
        }
    }
}

fn write_document(value: &Value, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(b"---\n")?;
    to.write_all(to_yaml(value).as_bytes())
}
