//! A cluster's state in one file of Kubernetes objects, which stands in for the cluster.
//!
//! What was not recorded is not known: it is never taken for empty or for absent.

mod file;
mod mask;
mod record;
mod resources;
mod selector;
mod serve;
mod store;
mod yaml_out;

use std::path::Path;
use std::sync::Arc;

pub(crate) use mask::mask;
pub use record::Recorder;
use store::Store;
pub(crate) use yaml_out::to_yaml;

use crate::InputError;

/// What is asked of an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The query's keys and values, not encoded.
    pub query: Vec<(String, String)>,
    /// What may be answered, as in the `Accept` header.
    pub accept: String,
    /// What is posted.
    pub body: Option<serde_json::Value>,
}

impl Asked {
    pub(crate) fn get(path: &str, accept: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            accept: accept.to_owned(),
            body: None,
        }
    }

    pub(crate) fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }
}

/// The answer that the API server gave, or would give.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// `application/json` or `text/plain`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// The snapshot does not hold what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot does not hold {what}")]
#[non_exhaustive]
pub struct NotRecorded {
    /// What is asked.
    pub what: String,
}

/// A cluster's state in a file, that stands in for the cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    store: Arc<Store>,
}

impl Snapshot {
    /// Reads a snapshot's file: one that `preflight snapshot` wrote, one made by hand, or what
    /// `kubectl get -o yaml` prints.
    ///
    /// # Errors
    /// It cannot be read, or is not made of Kubernetes objects; the place is told.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, InputError> {
        let name = path.as_ref().display().to_string();
        let bytes = std::fs::read(path.as_ref())
            .map_err(|error| InputError::new(format!("cannot read the snapshot {name}: {error}")))?;
        Self::parse(&name, &crate::yaml::text_of(&name, bytes)?)
    }

    /// Reads the text of a snapshot.
    ///
    /// # Errors
    /// As [`Self::from_path`].
    pub fn parse(name: &str, text: &str) -> Result<Self, InputError> {
        Ok(Self { store: Arc::new(file::read(name, text)?) })
    }

    /// When it was recorded, as RFC 3339, where it says so.
    #[must_use]
    pub fn recorded_at(&self) -> Option<&str> {
        self.store.header.recorded_at.as_deref()
    }

    /// URL of the API server that it is of, where it says so.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.store.header.server.as_deref()
    }

    /// The namespace of objects that name none, where it says so.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.store.header.namespace.as_deref()
    }

    /// The answer that the recorded API server gave, or would give.
    ///
    /// # Errors
    /// The snapshot does not hold it.
    pub fn answer(&self, asked: &Asked) -> Result<Answer, NotRecorded> {
        serve::answer(&self.store, asked)
    }

    /// A client that this snapshot answers.
    pub(crate) fn client(&self) -> kube::Client {
        serve::client(self.clone())
    }
}

#[cfg(test)]
mod tests;
